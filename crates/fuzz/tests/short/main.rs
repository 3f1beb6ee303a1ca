//! Every target holds its properties on all seeds and on mutations of them: a fixed number of
//! mutations by default, or `FUZZ_SECONDS` per target with new mutations in every run.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests, which clippy does not see here.

mod clients;

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fuzz::{
    TARGETS, Target,
    engine::{FuzzBudget, run},
};

/// Number of mutations if no time is given: about a second in a debug build.
const INPUTS: u64 = 4000;

fn seeds(target: Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let files = fs::read_dir(folder.join(target.name)).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", target.name);
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn budget() -> (FuzzBudget, u64) {
    let Ok(seconds) = std::env::var("FUZZ_SECONDS") else {
        return (FuzzBudget::Inputs(INPUTS), 1);
    };
    let seconds = seconds.parse().expect("FUZZ_SECONDS is a number");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let random_seed = u64::from(now.subsec_nanos()) | now.as_secs() << 32;
    (FuzzBudget::Time(Duration::from_secs(seconds)), random_seed)
}

fn keeps_its_promises(name: &str) {
    let target = *TARGETS.iter().find(|target| target.name == name).unwrap();
    let (budget, random_seed) = budget();
    match run(target, &seeds(target), budget, random_seed) {
        Ok(inputs) => println!("{name}: {inputs} inputs, random seed {random_seed}"),
        Err(failure) => {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
            fs::write(&file, &failure.input).unwrap();
            panic!(
                "{}\nby {:?}\nwhich is in {}; once it is fixed, move it to crates/fuzz/seeds/{name}/",
                failure.message,
                String::from_utf8_lossy(&failure.input),
                file.display(),
            );
        }
    }
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            keeps_its_promises(stringify!($name));
        })*

        #[test]
        fn every_target_is_here() {
            let here = [$(stringify!($name)),*];
            assert_eq!(here.to_vec(), TARGETS.map(|target| target.name));
        }
    };
}
targets!(
    dispatch, envelope, lines, sse, header, cursor, state, bus, filter, uri, rest, payload
);
