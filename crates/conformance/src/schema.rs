//! A tool whose input schema uses features of JSON Schema 2020-12.

use mcp::tool::{CallToolResult, ContentBlock, ToolAnnotations, ToolDescriptor};
use serde_json::json;

use crate::fixture::{Nothing, ToolFixture};
use mcp_server::tool::Tool;

pub(super) fn tools() -> Vec<Box<dyn Tool>> {
    let name = "json_schema_2020_12_tool";
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
            }
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" }
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false
    });
    let hints = ToolAnnotations::read_only();
    let descriptor = ToolDescriptor::new::<Nothing>(name, name, "Takes a contact.", hints)
        .with_input_schema(schema);
    let contact = ToolFixture {
        descriptor,
        call: |_, _| {
            Box::pin(async {
                Ok(CallToolResult::new(vec![ContentBlock::text(
                    "JSON Schema 2020-12 tool",
                )]))
            })
        },
    };
    vec![Box::new(contact), mirrored()]
}

/// A tool whose argument a client mirrors into a header (SEP-2243).
fn mirrored() -> Box<dyn Tool> {
    let name = "test_param_header";
    let schema = json!({
        "type": "object",
        "properties": { "region": { "type": "string", "x-mcp-header": "Region" } },
        "required": ["region"]
    });
    let hints = ToolAnnotations::read_only();
    let descriptor = ToolDescriptor::new::<Nothing>(name, name, "Takes a region.", hints)
        .with_input_schema(schema);
    Box::new(ToolFixture {
        descriptor,
        call: |_, _| Box::pin(async { Ok(CallToolResult::new(vec![ContentBlock::text("done")])) }),
    })
}
