//! The time that it takes to seal and to open a cursor: `cargo run --release -p model --example seals`.

use std::{hint::black_box, time::Instant};

use model::{Cursor, CursorKeys, CursorScope, EntryTag, Epoch, PrincipalId, Sequence, SharedKey};

const ROUNDS: u32 = 2_000_000;

fn main() {
    let scope = CursorScope::events(&PrincipalId::anonymous());
    let keys = CursorKeys::new(&[SharedKey::of_text("a key")], Epoch(7), false);
    for (name, newest_subscription) in [("an event's id", 0), ("a session's event id", 3)] {
        let cursor = |n: u32| Cursor {
            is_sealed: true,
            epoch: Epoch(7),
            sequence: Sequence(n.into()),
            tag: EntryTag::from_number(5),
            told: None,
            scope,
            inbox: Sequence::START,
            newest_subscription,
        };
        measure(&format!("seal {name}"), |n| {
            black_box(keys.seal(black_box(&cursor(n))));
        });
        let text = keys.seal(&cursor(1)).to_string();
        measure(&format!("open {name}"), |_| {
            let _ = black_box(keys.open(black_box(&text), scope));
        });
        // What versions before the seals did for each event.
        measure(&format!("unsealed text of {name}"), |n| {
            black_box(black_box(&cursor(n)).unsealed_text());
        });
    }
}

fn measure(what: &str, mut work: impl FnMut(u32)) {
    let began = Instant::now();
    (0..ROUNDS).for_each(&mut work);
    let nanos = began.elapsed().as_nanos() / u128::from(ROUNDS);
    println!("{what}: {nanos} ns");
}
