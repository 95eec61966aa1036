//! The store, asked by its own protocol.

use crate::say;
use alluxio_e2e_tests::pattern;
use anyhow::{Context, Result};
use opendal::services::S3;
use opendal::{HttpTransporter, OperationContext, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;
use std::time::{Duration, Instant};

/// How long the store may be out of reach, and the pause before it is asked again.
const REACHED_WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

fn open() -> Result<Operator> {
    let variable = |name: &str| std::env::var(name).with_context(|| name.to_owned());
    let store = S3::default()
        .endpoint(&variable("S3_ENDPOINT")?)
        .bucket(&variable("S3_BUCKET")?)
        .access_key_id(&variable("S3_ACCESS_KEY")?)
        .secret_access_key(&variable("S3_SECRET_KEY")?)
        .region("us-east-1");
    let transport = HttpTransporter::new(ReqwestTransport::new(reqwest::Client::new()));
    Ok(Operator::new(store)?.with_context(OperationContext::new().with_http_transport(transport)))
}

fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Puts files into a folder.
pub(crate) fn fill(folder: &str, files: u64, bytes: u64) -> Result<()> {
    let length = usize::try_from(bytes)?;
    wait(async {
        let store = open()?;
        for number in 0..files {
            let key = format!("{folder}/{}", pattern::name(number));
            let content = pattern::content(number, 0, length);
            let begun = Instant::now();
            // A Service leads nowhere until its node has heard of it.
            loop {
                match store.write(&key, content.clone()).await {
                    Err(error) if error.is_temporary() && begun.elapsed() < REACHED_WITHIN => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    written => {
                        written.context(key)?;
                        break;
                    }
                }
            }
        }
        Ok(())
    })
}

/// Prints sums of objects.
pub(crate) fn sums(keys: &[String]) -> Result<()> {
    wait(async {
        let store = open()?;
        for key in keys {
            let bytes = store.read(key).await.with_context(|| key.clone())?.to_bytes();
            say(&format!("{}  {key}", pattern::sha256(&bytes)));
        }
        Ok(())
    })
}
