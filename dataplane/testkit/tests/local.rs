//! The cluster that other tests stand on.

use alluxio_client::options::{CreateFileOptions, OpenFileOptions};
use alluxio_testkit::LocalCluster;
use alluxio_types::{AlluxioPath, WriteType};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_their_blocks_survive_a_restart_of_the_cluster() {
    let properties = [("alluxio.user.block.size.bytes.default", "64KB")];
    let cluster = LocalCluster::with(2, properties).await.unwrap();
    let content: Vec<u8> = (0..300_000u32).map(|i| (i / 7) as u8).collect();
    let fs = cluster.client().unwrap();
    for (name, write_type) in [("/kept", WriteType::MustCache), ("/through", WriteType::Through)] {
        let options = CreateFileOptions { write_type: Some(write_type), ..Default::default() };
        let path = AlluxioPath::parse(name).unwrap();
        let mut writer = fs.create_file(&path, &options).await.unwrap();
        writer.write(&content).await.unwrap();
        writer.close().await.unwrap();
    }
    assert_eq!(std::fs::read(cluster.root_ufs().join("through")).unwrap(), content);
    assert!(!cluster.root_ufs().join("kept").exists());
    let cluster = cluster.restart().await.unwrap();
    let fs = cluster.client().unwrap();
    for name in ["/kept", "/through"] {
        let path = AlluxioPath::parse(name).unwrap();
        let mut reader = fs.open_file(&path, &OpenFileOptions::default()).await.unwrap();
        assert!(reader.read_to_end().await.unwrap() == content, "{name}");
    }
    cluster.stop().await;
}
