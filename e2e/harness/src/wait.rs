//! Waiting for what becomes of an object.

use anyhow::{Result, anyhow};
use kube::Api;
use kube::runtime::wait::await_condition;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

/// How long tests wait unless they know better: a busy machine with two cores starts a pod in seconds.
pub const LIMIT: Duration = Duration::from_secs(90);

/// Watches the object until `condition` holds; `None` is one that isn't there. Gives what it then is.
///
/// **Errors**: after `limit`, with what the object was then. [`Namespace::wait`](crate::Namespace::wait)
/// tells of its surroundings, too.
pub async fn wait_for<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    limit: Duration,
    condition: impl Fn(Option<&K>) -> bool,
) -> Result<Option<K>>
where
    K: Clone + Debug + Send + DeserializeOwned + serde::Serialize + kube::Resource + 'static,
{
    let waits = await_condition(api.clone(), name, |object: Option<&K>| condition(object));
    match tokio::time::timeout(limit, waits).await {
        Ok(found) => Ok(found?),
        Err(_) => {
            let now = match api.get_opt(name).await {
                Ok(Some(object)) => serde_json::to_string_pretty(&object)?,
                Ok(None) => "it does not exist".to_owned(),
                Err(error) => error.to_string(),
            };
            Err(anyhow!("{name}: waited {} s for {what}; now: {now}", limit.as_secs()))
        }
    }
}
