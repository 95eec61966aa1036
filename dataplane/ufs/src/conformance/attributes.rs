//! Owner, group and mode.

use super::{Fixture, refused};
use crate::error::Error;
use crate::facts::UfsAttributes;
use crate::under_fs::{CreateOptions, MkdirOptions};
use alluxio_types::Mode;

/// Kept where the store says it can, refused in so many words where not; never dropped silently.
pub async fn a_mode_is_kept_or_refused(fixture: &Fixture) {
    fixture.put("a", "x").await;
    let wanted = UfsAttributes { mode: Some(Mode(0o640)), ..UfsAttributes::default() };
    let set = fixture.ufs.set_attributes(&fixture.path("a"), &wanted).await;
    if !fixture.ufs.capabilities().attributes {
        refused("setting a mode", set, |error| matches!(error, Error::Unsupported { .. }));
        return;
    }
    let told = set.unwrap_or_else(|error| panic!("set_attributes: {error}"));
    assert_eq!(told.mode, Some(Mode(0o640)));
    assert_eq!(told, fixture.facts("a").await);
    // To the owner that it has: needs no privilege, and shows that names lead back to ids.
    let same = UfsAttributes { owner: told.owner.clone(), group: told.group.clone(), mode: None };
    let again = fixture.ufs.set_attributes(&fixture.path("a"), &same).await;
    let again = again.unwrap_or_else(|error| panic!("set_attributes to the same: {error}"));
    assert_eq!((again.owner, again.group), (told.owner, told.group));

    let options = CreateOptions { attributes: wanted.clone(), length_hint: None };
    let mut writer = fixture.ufs.create(&fixture.path("b"), options).await.expect("create");
    writer.write("x".into()).await.expect("write");
    assert_eq!(writer.finish().await.expect("finish").mode, Some(Mode(0o640)));
    let options = MkdirOptions::recursive().with_mode(Mode(0o750));
    assert_eq!(fixture.ufs.mkdir(&fixture.path("d"), options).await, Ok(()));
    assert_eq!(fixture.facts("d").await.mode, Some(Mode(0o750)));
    let missing = fixture.ufs.set_attributes(&fixture.path("no"), &wanted).await;
    refused("setting a mode of nothing", missing, Error::is_not_found);
}
