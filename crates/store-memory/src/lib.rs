//! Ports in memory: tests and the embedded bus.
