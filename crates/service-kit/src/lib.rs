//! Configuration, telemetry, lifecycle, HTTP and gRPC plumbing for the services.
