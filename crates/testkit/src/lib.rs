//! Fake GitHub, real servers on free ports, a cluster of processes, an SSE client.
