//! Alone in its process, because it changes the process's limit of file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use service_kit::descriptors::Descriptors;

#[test]
fn a_process_gives_itself_all_descriptors_that_it_may_have() {
    let hard = getrlimit(Resource::Nofile)
        .maximum
        .map_or(1024, |hard| hard.min(1024));
    let low = Rlimit {
        current: Some(hard / 2),
        maximum: Some(hard),
    };
    setrlimit(Resource::Nofile, low).unwrap();
    assert_eq!(Descriptors::raise(), Descriptors::of(hard));
    assert_eq!(getrlimit(Resource::Nofile).current, Some(hard));
    // There is nothing to raise any more, and nothing changes.
    assert_eq!(Descriptors::raise().limit(), hard);
}
