//! Generates the messages and gRPC stubs from `proto/` with a protobuf compiler written in Rust: protoc
//! is not needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    let files = [
        "events",
        "bus",
        "edge_news",
        "ingest_news",
        "sync_news",
        "sync",
    ]
    .map(|name| format!("{root}/forgewire/v1/{name}.proto"));
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, [root])?;
    // For reflection: without comments.
    let mut described = protox::Compiler::new([root])?;
    described.include_imports(true).open_files(&files)?;
    let described = described.encode_file_descriptor_set();
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), described)?;
    tonic_prost_build::configure()
        .bytes(".forgewire.v1.StoredEvent.json")
        .bytes(".forgewire.v1.GetResourceResponse.json")
        .bytes(".forgewire.v1.ResourceView.json")
        .compile_fds(descriptors)?;
    Ok(())
}
