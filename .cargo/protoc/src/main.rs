//! Just enough of `protoc` for build scripts: compiles .proto files into a descriptor set.
//!
//! It must not know: any other output than `--descriptor_set_out`.

use std::error::Error;
use std::path::PathBuf;

struct Request {
    output: PathBuf,
    includes: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Request, String> {
    let (mut output, mut includes, mut files) = (None, Vec::new(), Vec::new());
    while let Some(arg) = args.next() {
        let (flag, joined) = match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value = || joined.clone().or_else(|| args.next()).ok_or("a value is missing");
        match flag {
            "-o" | "--descriptor_set_out" => output = Some(PathBuf::from(value()?)),
            "-I" | "--proto_path" => includes.push(PathBuf::from(value()?)),
            // Always done.
            "--include_imports" | "--include_source_info" => {}
            "--experimental_allow_proto3_optional" => {}
            _ if flag.starts_with('-') => return Err(format!("{arg} is not supported")),
            _ => files.push(PathBuf::from(arg)),
        }
    }
    let output = output.ok_or("--descriptor_set_out is missing")?;
    Ok(Request { output, includes, files })
}

fn main() -> Result<(), Box<dyn Error>> {
    let request = parse(std::env::args().skip(1))?;
    let mut compiler = protox::Compiler::new(&request.includes)?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&request.files)?;
    std::fs::write(&request.output, compiler.encode_file_descriptor_set())?;
    Ok(())
}
