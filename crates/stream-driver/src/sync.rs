//! The locks, atomics and wakers of what threads hand over to each other.
//!
//! Everything that takes part in the hand-over between publishers and reactors has them from here, so that
//! the feature `shuttle` can put a scheduler under all of it that tries interleavings. That one knows no
//! memory order: every access is sequentially consistent for it.

#[cfg(not(feature = "shuttle"))]
mod real {
    pub use futures_util::task::AtomicWaker;
    pub use parking_lot::{Mutex, RwLock};
    pub use std::{
        sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize},
        thread::Builder,
    };
}
#[cfg(not(feature = "shuttle"))]
pub use real::*;

#[cfg(feature = "shuttle")]
mod modelled {
    use std::{sync::PoisonError, task::Waker};

    pub use shuttle::{
        sync::{
            MutexGuard, RwLockReadGuard, RwLockWriteGuard,
            atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize},
        },
        thread::Builder,
    };

    /// A lock without poisoning, as `parking_lot` has it.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// Around a value.
        pub const fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        /// Waits for it.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// A lock without poisoning, as `parking_lot` has it.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        /// Around a value.
        pub const fn new(value: T) -> Self {
            Self(shuttle::sync::RwLock::new(value))
        }

        /// Waits for it, beside other readers.
        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        /// Waits for it, alone.
        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Stands for the one of `futures-util`, which has no lock and is not under the scheduler. It keeps the
    /// same promise and no more: who wakes takes the waker out, so what comes between that and the next
    /// `register` wakes nobody; a wake-up during `register` counts as one after it, for there the other
    /// one lets whoever registers wake itself.
    #[derive(Debug, Default)]
    pub struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        /// Wakes nobody yet.
        pub const fn new() -> Self {
            Self(Mutex::new(None))
        }

        /// Who is woken by the next [`AtomicWaker::wake`].
        pub fn register(&self, waker: &Waker) {
            *self.0.lock() = Some(waker.clone());
        }

        /// Wakes whoever registered last, once.
        pub fn wake(&self) {
            let waker = self.0.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
#[cfg(feature = "shuttle")]
pub use modelled::*;
