//! One kill at each step of a file's life.

use crate::kernel::{World, created};
use alluxio_fuse::options::Commit;
use std::time::Duration;

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[test]
fn a_file_is_written_on_by_the_next_process() {
    let mut world = World::new(Commit::Close, &[]);
    let open = world.create("f");
    let (first, second) = (bytes(100_000, 1), bytes(100_000, 2));
    world.write(open, 0, &first);
    world.restart();
    assert_eq!(world.lookup("f").unwrap(), open.node);
    assert_eq!(world.length(open.node), 100_000);
    assert!(world.read(open, 0, 100_000) == first);
    assert_eq!(world.get("f"), None, "nobody sees half of it");
    world.write(open, 100_000, &second);
    world.set_modified(open.node, 1_000_000_000);
    world.restart();
    world.close(open);
    assert!(world.get("f").unwrap() == [first, second].concat());
    assert_eq!(world.status("f").unwrap().modified.0, 1_000_000_000_000);
    assert_eq!(world.names(), ["f"]);
    assert!(std::fs::read_dir(world.staging()).unwrap().count() <= 4, "one slot is enough");
}

#[test]
fn a_file_is_made_once_however_often_its_process_dies_before_it_says_so() {
    let mut world = World::new(Commit::Close, &[]);
    // Killed at any moment of the request: before it is read, in the middle, after its end.
    for round in 0..12u64 {
        let name = format!("f{round}");
        let unique = world.ask_create(&name);
        std::thread::sleep(Duration::from_micros(400 * round));
        world.restart();
        std::thread::sleep(Duration::from_micros(300 * round));
        world.restart();
        let open = created(&world.answer(unique).unwrap());
        world.write(open, 0, name.as_bytes());
        world.close(open);
        assert_eq!(world.get(&name).unwrap(), name.as_bytes());
    }
    assert_eq!(world.names().len(), 12);
    // The name is really taken.
    let unique = world.ask_create("f3");
    assert_eq!(world.answer(unique).unwrap_err(), libc::EEXIST);
}

#[test]
fn a_new_file_whose_name_is_lost_before_its_first_close_is_there_after_it() {
    let mut world = World::new(Commit::Close, &[]);
    let (kept, taken) = (world.create("kept"), world.create("taken"));
    world.write(kept, 0, b"bytes");
    world.write(taken, 0, b"bytes");
    // What a primary leaves that dies before its journal has the names.
    world.delete("kept");
    world.delete("taken");
    world.put("taken", b"another one has made it");
    world.flush(kept);
    assert_eq!(world.get("kept").unwrap(), b"bytes");
    let unique = world.ask_flush(taken);
    assert_eq!(world.answer(unique).unwrap_err(), libc::EEXIST);
    assert_eq!(world.get("taken").unwrap(), b"another one has made it");
}

#[test]
fn a_close_that_was_cut_off_is_carried_out_by_the_next_process() {
    let mut world = World::new(Commit::Close, &[]);
    let old = bytes(300_000, 3);
    world.put("old", &old);
    for round in 0..10u64 {
        let new = format!("new{round}");
        let (made, changed) = (world.create(&new), {
            let node = world.lookup("old").unwrap();
            world.open(node, libc::O_RDWR)
        });
        let content = bytes(200_000, round as u8);
        world.write(made, 0, &content[..100_000]);
        world.write(made, 100_000, &content[100_000..]);
        world.write(changed, 1000 * round, b"changed");
        let flushes = [world.ask_flush(made), world.ask_flush(changed)];
        std::thread::sleep(Duration::from_millis(round));
        world.restart();
        for unique in flushes {
            world.answer(unique).unwrap();
        }
        assert!(world.get(&new).unwrap() == content);
        let at = 1000 * round as usize;
        assert_eq!(&world.get("old").unwrap()[at..at + 7], b"changed");
        assert_eq!(world.get("old").unwrap().len(), 300_000);
        for open in [made, changed] {
            let unique = world.ask_release(open);
            world.answer(unique).unwrap();
        }
    }
    // Nothing stays beside the files.
    world.until("hidden files stay", |world| world.names().len() == 11);
}

#[test]
fn what_nobody_closes_any_more_is_committed_all_the_same() {
    let mut world = World::new(Commit::Close, &[]);
    let open = world.create("f");
    world.write(open, 0, b"written, and the program was killed too");
    // Its last close was answered by a process that died before it could commit.
    world.kill();
    world.go_on();
    let unique = world.ask_release(open);
    world.answer(unique).unwrap();
    world.until("it is not committed", |world| world.get("f").is_some());
    let open = world.create("g");
    world.restart();
    let unique = world.ask_release(open);
    world.answer(unique).unwrap();
    world.until("an empty file is not committed", |world| world.get("g").is_some());
}

#[test]
fn a_file_without_a_name_is_read_and_written_after_a_kill() {
    let mut world = World::new(Commit::Close, &[]);
    let open = world.create("f");
    world.write(open, 0, b"first");
    world.unlink("f");
    world.restart();
    assert_eq!(world.lookup("f").unwrap_err(), libc::ENOENT);
    world.write(open, 5, b" second");
    assert_eq!(world.read(open, 0, 100), b"first second");
    let other = world.create("f");
    world.write(other, 0, b"other");
    world.restart();
    assert_eq!(world.read(open, 0, 100), b"first second");
    world.close(other);
    world.close(open);
    world.forget(open.node);
    assert_eq!(world.get("f").unwrap(), b"other");
    assert_eq!(world.names(), ["f"]);
}

#[test]
fn a_file_that_was_renamed_while_it_is_written_keeps_its_new_name() {
    let mut world = World::new(Commit::Close, &[]);
    world.put("to", b"gone soon");
    let open = world.create("from");
    world.write(open, 0, b"moved");
    world.rename("from", "to");
    world.restart();
    assert_eq!(world.lookup("to").unwrap(), open.node);
    world.write(open, 5, b" on");
    world.close(open);
    assert_eq!(world.get("to").unwrap(), b"moved on");
    assert_eq!(world.names(), ["to"]);
}

#[test]
fn a_handle_of_a_dead_process_leads_to_an_old_file_too() {
    let mut world = World::new(Commit::Close, &[]);
    world.put("f", b"old content");
    let node = world.lookup("f").unwrap();
    let open = world.open(node, libc::O_RDWR);
    // Not changed yet: nothing of it was kept.
    world.restart();
    world.write(open, 0, b"NEW");
    world.close(open);
    assert_eq!(world.get("f").unwrap(), b"NEW content");
    let again = world.open(node, libc::O_RDWR);
    let unique = world.ask_set_length(node, 3);
    world.restart();
    world.answer(unique).unwrap();
    world.close(again);
    assert_eq!(world.get("f").unwrap(), b"NEW");
}

#[test]
fn what_was_sent_ahead_of_a_close_is_not_missed_after_a_kill() {
    let mut world = World::new(Commit::Close, &[("alluxio.user.block.size.bytes.default", "4MB")]);
    let open = world.create("f");
    let piece = bytes(100_000, 5);
    for round in 0..900u64 {
        world.write(open, round * 100_000, &piece);
        if round == 750 || round == 850 {
            world.restart();
        }
    }
    world.close(open);
    let found = world.get("f").unwrap();
    assert_eq!(found.len(), 90_000_000);
    assert!(found.chunks(100_000).all(|found| found == piece));
    assert_eq!(world.names(), ["f"]);
}
