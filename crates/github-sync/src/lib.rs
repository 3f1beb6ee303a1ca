//! Keeps the last known state of GitHub's resources and serves it over gRPC.
