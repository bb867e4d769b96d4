//! The OpenAPI document, generated from the list of operations so that it always matches them.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::OPERATIONS;

/// Builds the document: OpenAPI 3.1 (<https://spec.openapis.org/oas/v3.1.0>) with schemas in JSON Schema 2020-12.
pub(super) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let input = (operation.input)(&mut generator).to_value();
        let output = (operation.output)(&mut generator).to_value();
        let mut described = json!({
            "summary": operation.about,
            "operationId": name(operation.path),
            "responses": {
                "200": { "description": "Success.", "content": { "application/json": { "schema": output } } },
                "400": error("The request is invalid."),
                "401": error("The token is missing or invalid."),
                "403": error("The token's role does not allow this operation, or the `Host` header is not allowed."),
                "404": error("The path or the requested object does not exist."),
                "503": error("The store is failing, or the service is busy or stopping. Try again later."),
            },
        });
        let mut parameters = vec![];
        if operation.path.contains(":id") {
            parameters.push(json!({
                "name": "id", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
            }));
        }
        if operation.method == poem::http::Method::POST {
            described["requestBody"] = json!({
                "required": says_something(resolved(&input, generator.definitions())),
                "content": { "application/json": { "schema": input } },
            });
            described["responses"]["415"] = error("The content type of the body is not `application/json`.");
            described["responses"]["413"] = error("The body is too large.");
            described["responses"]["408"] = error("The body did not arrive in time.");
        } else {
            parameters.extend(query(resolved(&input, generator.definitions())));
        }
        described["parameters"] = parameters.into();
        let path = operation.path.replace(":id", "{id}");
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[operation.method.as_str().to_ascii_lowercase()] = described;
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert(
        "Error".to_owned(),
        json!({ "type": "object", "required": ["error"], "properties": { "error": { "type": "string" } } }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hookbell admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Inspects and operates a Hookbell service. Times are in milliseconds since 1970-01-01 UTC.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas,
        },
    })
}

fn error(description: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/Error" });
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

/// `/api/v1/deliveries/:id` → `deliveries_id`.
fn name(path: &str) -> String {
    path.trim_start_matches("/api/v1/").replace(':', "").replace('/', "_")
}

/// Resolves a schema reference. Returns the schema itself if it is not a reference.
fn resolved<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    name.and_then(|name| definitions.get(name)).unwrap_or(schema)
}

/// Returns `true` if an object of this schema needs at least one property.
fn says_something(schema: &Value) -> bool {
    schema.get("required").or_else(|| schema.get("anyOf")).is_some()
}

/// Builds the query parameters from the properties of the object that the query is parsed into.
fn query(schema: &Value) -> Vec<Value> {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.map(|(name, schema)| parameter(name, schema, required.iter().any(|key| key == name))).collect()
}

fn parameter(name: &str, schema: &Value, is_required: bool) -> Value {
    let mut schema = schema.clone();
    // A query has no `null`: nullable properties are optional parameters.
    if let Some(kinds) = schema["type"].as_array() {
        schema["type"] = kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
    }
    if let Some(one) = schema["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null")) {
        let one = one.clone();
        schema = json!({ "$ref": one["$ref"], "description": schema["description"] });
    }
    let description = schema["description"].take();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("description");
    }
    json!({ "name": name, "in": "query", "required": is_required, "description": description, "schema": schema })
}
