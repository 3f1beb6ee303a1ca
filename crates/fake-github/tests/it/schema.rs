//! The GraphQL schema is a part of the published one.

use std::{fs, path::PathBuf};

use apollo_compiler::{Schema, ast::Type, schema::ExtendedType};

/// The published schema; that it defines some fields twice is no matter here.
fn published() -> Schema {
    let file = "../../.setup/node_modules/@octokit/graphql-schema/schema.graphql";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{} is missing ({error}): run `make setup`", path.display())
    });
    Schema::parse(text, "published").unwrap_or_else(|partial| partial.partial)
}

/// What is offered and not published, if anything.
fn beyond(offered: &Schema, published: &Schema) -> Vec<String> {
    let mut beyond = Vec::new();
    for (name, own) in &offered.types {
        if own.is_built_in() {
            continue;
        }
        let Some(real) = published.types.get(name) else {
            beyond.push(format!("{name} is no type"));
            continue;
        };
        match (own, real) {
            (ExtendedType::Object(own), ExtendedType::Object(real)) => {
                let alien = own
                    .implements_interfaces
                    .difference(&real.implements_interfaces);
                beyond.extend(alien.map(|it| format!("{name} is no {}", it.name)));
                fields(name, &own.fields, &real.fields, &mut beyond);
            }
            (ExtendedType::Interface(own), ExtendedType::Interface(real)) => {
                fields(name, &own.fields, &real.fields, &mut beyond);
            }
            (ExtendedType::Union(own), ExtendedType::Union(real)) => {
                let alien = own.members.difference(&real.members);
                beyond.extend(alien.map(|it| format!("{name} is never {}", it.name)));
            }
            (ExtendedType::Enum(own), ExtendedType::Enum(real)) => {
                let alien = own
                    .values
                    .keys()
                    .filter(|it| !real.values.contains_key(*it));
                beyond.extend(alien.map(|it| format!("{name} has no {it}")));
            }
            (ExtendedType::InputObject(own), ExtendedType::InputObject(real)) => {
                for (field, own) in &own.fields {
                    let same = real.fields.get(field).is_some_and(|it| it.ty == own.ty);
                    beyond.extend((!same).then(|| format!("{name}.{field}")));
                }
            }
            (ExtendedType::Scalar(_), ExtendedType::Scalar(_)) => {}
            _ => beyond.push(format!("{name} is of another kind")),
        }
    }
    beyond
}

type Fields = apollo_compiler::collections::IndexMap<
    apollo_compiler::Name,
    apollo_compiler::schema::Component<apollo_compiler::schema::FieldDefinition>,
>;

fn fields(name: &str, own: &Fields, real: &Fields, beyond: &mut Vec<String>) {
    for (field, own) in own {
        let Some(real) = real.get(field) else {
            beyond.push(format!("{name}.{field} does not exist"));
            continue;
        };
        let same = |one: &Type, other: &Type| one == other;
        if !same(&own.ty, &real.ty) {
            beyond.push(format!("{name}.{field} is {}, not {}", real.ty, own.ty));
        }
        for argument in &own.arguments {
            let found = real.argument_by_name(&argument.name);
            let fits = found.is_some_and(|it| {
                it.ty == argument.ty && it.default_value == argument.default_value
            });
            if !fits {
                beyond.push(format!("{name}.{field}({})", argument.name));
            }
        }
        let required = real.arguments.iter().filter(|it| it.is_required());
        let missing = required.filter(|it| own.argument_by_name(&it.name).is_none());
        beyond.extend(missing.map(|it| format!("{name}.{field} needs {}", it.name)));
    }
}

#[test]
fn nothing_is_offered_that_github_does_not_have() {
    let offered = Schema::parse_and_validate(fake_github::graphql::SCHEMA, "offered").unwrap();
    assert_eq!(beyond(&offered, &published()), Vec::<String>::new());
}

#[test]
fn what_is_made_up_is_found() {
    let invented = "type Query { viewer: User user(login: String!, size: Int): User } \
                    type User { login: String! shoeSize: Int } type Shoe { id: ID! }";
    let invented = Schema::parse(invented, "invented").unwrap();
    let mut found = beyond(&invented, &published());
    found.sort();
    assert_eq!(
        found,
        [
            "Query.user(size)",
            "Query.viewer is User!, not User",
            "Shoe is no type",
            "User.shoeSize does not exist",
        ]
    );
}
