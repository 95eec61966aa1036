//! Files that are made only where none is.

use super::{Fixture, pattern, refused};
use crate::error::{Error, Result};
use bytes::Bytes;

async fn create_new(fixture: &Fixture, relative: &str, bytes: impl Into<Bytes>) -> Result<()> {
    fixture.ufs.create_new(&fixture.path(relative), bytes.into()).await
}

fn is_taken(error: &Error) -> bool {
    matches!(error, Error::AlreadyExists { .. })
}

/// Whatever has it; and a store that cannot refuse it says so.
pub async fn a_name_that_is_taken_is_not_taken_again(fixture: &Fixture) {
    let bytes = pattern(100_000, 11);
    if !fixture.ufs.capabilities().exclusive_create {
        let refusal = create_new(fixture, "log/1", bytes).await;
        refused("an exclusive creation", refusal, |error| {
            matches!(error, Error::Unsupported { .. })
        });
        return;
    }
    assert_eq!(create_new(fixture, "log/deep/1", bytes.clone()).await, Ok(()));
    refused("a second one", create_new(fixture, "log/deep/1", "other").await, is_taken);
    assert!(fixture.read("log/deep/1", 0, 100_000).await.is_ok_and(|got| got == bytes));
    fixture.put("plain", "x").await;
    refused("one over a usual file", create_new(fixture, "plain", "other").await, is_taken);
    assert_eq!(fixture.read("plain", 0, 1).await, Ok(b"x".to_vec()));
    assert_eq!(fixture.names("", true).await, ["log", "log/deep", "log/deep/1", "plain"]);
    let deleted = fixture.ufs.delete_file(&fixture.path("log/deep/1")).await;
    assert_eq!(deleted, Ok(()));
    assert_eq!(create_new(fixture, "log/deep/1", "").await, Ok(()));
    assert_eq!(fixture.facts("log/deep/1").await.length, 0);
}

/// And its bytes are the whole file.
pub async fn of_many_who_want_a_name_one_gets_it(fixture: &Fixture) {
    if !fixture.ufs.capabilities().exclusive_create {
        return;
    }
    for round in 0..5 {
        let name = format!("race/{round}");
        let tries = (0..8u8).map(|who| {
            let (name, bytes) = (name.clone(), vec![who; 20_000]);
            async move { (who, create_new(fixture, &name, bytes).await) }
        });
        let outcomes = futures::future::join_all(tries).await;
        let won: Vec<u8> =
            outcomes.iter().filter(|(_, result)| result.is_ok()).map(|(who, _)| *who).collect();
        let [winner] = won[..] else { panic!("{won:?} all have {name}") };
        for (who, result) in outcomes {
            if who != winner {
                refused("a name that another got", result, |error| {
                    is_taken(error) || error.is_temporary()
                });
            }
        }
        assert_eq!(fixture.read(&name, 0, 20_000).await, Ok(vec![winner; 20_000]));
    }
    assert_eq!(fixture.names("race", false).await, ["0", "1", "2", "3", "4"]);
}
