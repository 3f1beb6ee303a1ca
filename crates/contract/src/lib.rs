//! The one contract suite that every adapter of a port has to pass.
