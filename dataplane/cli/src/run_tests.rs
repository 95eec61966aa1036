//! `runTests`: writes and reads small files with every type of write and read.

use crate::connect::Session;
use crate::error::CliError;
use crate::screen::Screen;
use crate::target;
use alluxio_client::{
    ClientError, CreateFileOptions, DeleteOptions, FileSystem, Freshness, OpenFileOptions,
};
use alluxio_types::{AlluxioPath, ReadType, WriteType};
use serde_json::json;

/// `runTests`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunTests {
    /// Folder in Alluxio for the files
    #[arg(long, default_value = "/default_tests_files")]
    directory: String,
    /// How files are read: in one piece, or byte by byte
    #[arg(long, value_enum, ignore_case = true)]
    operation: Option<Operation>,
    /// Only this type of reads
    #[arg(long = "readType", alias = "read-type")]
    read_type: Option<String>,
    /// Only this type of writes
    #[arg(long = "writeType", alias = "write-type")]
    write_type: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Operation {
    /// Whole pieces.
    #[value(name = "BASIC")]
    Basic,
    /// One byte after the other.
    #[value(name = "BASIC_NON_BYTE_BUFFER")]
    BasicNonByteBuffer,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Basic => "BASIC",
            Operation::BasicNonByteBuffer => "BASIC_NON_BYTE_BUFFER",
        }
    }
}

/// Bytes of a test file: more than one piece of any buffer that is asked for byte by byte, and an
/// odd number.
const FILE_BYTES: usize = 4099;

/// What is tried at once.
struct Combination {
    operation: Operation,
    write: WriteType,
    read: ReadType,
}

impl RunTests {
    /// Exit code: how many combinations failed.
    pub(crate) async fn run(&self, session: &Session, screen: &Screen) -> Result<(), CliError> {
        let directory = target::parse(&self.directory)?.path;
        let fs = session.fs()?;
        let mut failures: u8 = 0;
        for combination in self.combinations()? {
            let Combination { operation, write, read } = &combination;
            let name = format!("{}_{read}_{write}", operation.name());
            let path = session.inside(&directory, &name)?;
            let result = try_one(fs, &path, &combination).await;
            let error = result.as_ref().err().map(ToString::to_string);
            if error.is_some() {
                failures = failures.saturating_add(1);
            }
            if screen.json {
                screen.value(&json!({
                    "operation": operation.name(), "readType": read.name(),
                    "writeType": write.name(), "passed": error.is_none(), "error": error,
                }))?;
                continue;
            }
            screen.line(format!(
                "runTest --operation {} --readType {read} --writeType {write}",
                operation.name()
            ))?;
            match error {
                None => screen.line("Passed the test!")?,
                Some(error) => screen.line(format!("Failed the test! {error}"))?,
            }
        }
        if failures == 0 {
            return Ok(());
        }
        screen.note(format!("Number of failed tests: {failures}"));
        Err(CliError::Code(failures))
    }

    fn combinations(&self) -> Result<Vec<Combination>, CliError> {
        let bad = |what, value: &str, names: Vec<&str>| CliError::BadArgument {
            what,
            value: value.to_owned(),
            expected: format!("one of {}", names.join(", ")),
        };
        let reads = match &self.read_type {
            None => ReadType::ALL.to_vec(),
            Some(text) => vec![ReadType::from_name(text).ok_or_else(|| {
                bad("--readType", text, ReadType::ALL.iter().map(|t| t.name()).collect())
            })?],
        };
        let writes = match &self.write_type {
            // The job service that writes later is not there yet.
            None => vec![WriteType::MustCache, WriteType::CacheThrough, WriteType::Through],
            Some(text) => vec![WriteType::from_name(text).ok_or_else(|| {
                bad("--writeType", text, WriteType::ALL.iter().map(|t| t.name()).collect())
            })?],
        };
        let operations = match self.operation {
            None => vec![Operation::Basic, Operation::BasicNonByteBuffer],
            Some(operation) => vec![operation],
        };
        let mut all = Vec::new();
        for operation in operations {
            for read in &reads {
                for write in &writes {
                    all.push(Combination { operation, write: *write, read: *read });
                }
            }
        }
        Ok(all)
    }
}

async fn try_one(fs: &FileSystem, path: &AlluxioPath, how: &Combination) -> Result<(), CliError> {
    let failed = |error: ClientError| CliError::cluster(path, &error);
    if fs.exists(path, Freshness::default()).await.map_err(failed)? {
        fs.delete(path, &DeleteOptions::default()).await.map_err(failed)?;
    }
    let bytes: Vec<u8> = (0..FILE_BYTES).map(|i| (i % 251) as u8).collect();
    let options = CreateFileOptions {
        recursive: true,
        write_type: Some(how.write),
        ..CreateFileOptions::default()
    };
    let mut writer = fs.create_file(path, &options).await.map_err(failed)?;
    let step = if how.operation == Operation::Basic { bytes.len() } else { 1 };
    for piece in bytes.chunks(step) {
        writer.write(piece).await.map_err(failed)?;
    }
    writer.close().await.map_err(failed)?;
    let options = OpenFileOptions { read_type: Some(how.read), ..OpenFileOptions::default() };
    let mut reader = fs.open_file(path, &options).await.map_err(failed)?;
    let mut back = Vec::with_capacity(bytes.len());
    loop {
        let piece = reader.read_bytes(step).await.map_err(failed)?;
        if piece.is_empty() {
            break;
        }
        back.extend_from_slice(&piece);
    }
    if back == bytes {
        return Ok(());
    }
    Err(CliError::Cluster {
        code: alluxio_types::Code::DataLoss,
        message: format!("{path}: read {} bytes that differ from what was written", back.len()),
    })
}
