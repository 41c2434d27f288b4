use super::*;

const VALID: &str = "\
openapi: 3.1.0
info: {title: Orders, version: '1'}
paths:
  /orders/{id}:
    get:
      operationId: getOrder
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
      responses:
        '200':
          description: The order.
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Order'}
components:
  schemas:
    Order:
      type: object
      required: [id]
      properties:
        id: {type: string}
        next: {$ref: '#/components/schemas/Order'}
";

fn problems(text: &str) -> Vec<String> {
    openapi(text).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The problems of the valid document after a replacement.
fn after(from: &str, to: &str) -> Vec<String> {
    assert!(VALID.contains(from), "{from}");
    problems(&VALID.replacen(from, to, 1))
}

#[test]
fn operations_and_types_are_read() {
    let api = openapi(VALID).unwrap();
    let operation = &api.operations[0];
    assert_eq!((operation.ident.as_str(), operation.parameters.len(), operation.responses.len()), ("get_order", 1, 1));
    let Shape::Object { fields, is_closed: false } = &api.types[0].shape else { panic!("{:?}", api.types) };
    assert!(fields[0].is_required && !fields[0].is_optional() && fields[1].is_optional());
    assert_eq!(fields[1].usage.ty, Ty::Named("Order".to_owned()));
}

/// Each construct without code is a problem at its line and column; nothing is dropped.
#[test]
fn what_is_not_supported_is_a_problem_with_its_position() {
    let id = "        id: {type: string}\n";
    let mut missing = Vec::new();
    let with = |schema: &str| after(id, &format!("        id: {schema}\n"));
    for (schema, expected) in [
        ("{type: string, format: email}", "21:36: only the formats uuid, date-time are supported here"),
        ("{type: string, contentEncoding: base64}", "21:28: `contentEncoding` of a text is not supported"),
        ("{oneOf: [{type: string}, {type: integer}]}", "21:21: `oneOf` is only supported for a schema and `null`"),
        ("{not: {type: string}}", "21:14: `not` of a schema without `type` is not supported"),
        ("{type: array, items: {type: string}, uniqueItems: true}", "21:50: `uniqueItems` of a list is not supported"),
        ("{type: integer, multipleOf: 5}", "21:29: `multipleOf` of a whole number is not supported"),
        ("{type: integer, enum: [1, 2]}", "21:29: `enum` of a whole number is not supported"),
        ("{enum: [1, 2]}", "21:21: only texts are supported in `enum`"),
        (
            "{type: string, pattern: '\\d+'}",
            "21:37: `\\d` has no meaning that all validators share; write the characters, such as `[0-9]`",
        ),
        ("{type: string, nullable: true}", "21:38: `nullable` is OpenAPI 3.0; use the type `\"null\"`"),
        ("{type: [string, integer]}", "21:20: only one type, in OpenAPI 3.1 also with `\"null\"`, is supported"),
        (
            "{type: string, readOnly: true}",
            "21:38: `readOnly` is not supported; use a schema for requests and one for responses",
        ),
        ("{$ref: 'other.yaml#/A'}", "21:20: only references to `#/components/schemas/` are supported here"),
        ("{$ref: '#/components/schemas/Ordr'}", "21:20: there is no `#/components/schemas/Ordr`"),
        (
            "{type: object, patternProperties: {}}",
            "21:28: `patternProperties` of an object without `properties` is not supported",
        ),
    ] {
        let found = with(schema);
        if !found.iter().any(|problem| problem == expected) {
            missing.push(format!("{schema}: {found:?}"));
        }
    }
    for (from, to, expected) in [
        ("openapi: 3.1.0", "openapi: 2.0.0", "1:10: `openapi` must be 3.0.x or 3.1.x"),
        ("paths:\n", "webhooks: {}\npaths:\n", "3:1: `webhooks` of the document is not supported"),
        ("in: path", "in: cookie", "8:11: only parameters in `path`, `query` and `header` are supported"),
        (
            "application/json:",
            "application/xml:",
            "13:13: only application/json, application/problem+json is supported here",
        ),
        (
            "      responses:",
            "      callbacks: {}\n      responses:",
            "9:7: `callbacks` of an operation is not supported",
        ),
        (
            "          content:",
            "          headers: {}\n          content:",
            "12:11: `headers` of a response is not supported",
        ),
        (
            "/orders/{id}:",
            "/orders/{id}.json:",
            "4:3: a parameter must be a whole segment of the path, unlike `{id}.json`",
        ),
        ("name: id,", "name: key,", "4:3: the parameter `id` of the path is not described"),
        (
            "    Order:\n",
            "    String:\n      type: object\n      properties: {}\n    Order:\n",
            "18:7: `String` has another meaning in the generated code",
        ),
        ("required: [id]", "required: [id, x]", "19:22: a required property must be in `properties`"),
    ] {
        let found = after(from, to);
        if !found.iter().any(|problem| problem == expected) {
            missing.push(format!("{to}: {found:?}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn both_versions_give_the_same_types() {
    let new = "        id: {type: [integer, 'null'], exclusiveMinimum: 5, maximum: 9}\n";
    let old = "        id: {type: integer, nullable: true, minimum: 5, exclusiveMinimum: true, maximum: 9}\n";
    let read = |version: &str, id: &str| {
        let text = VALID.replace("3.1.0", version).replace("        id: {type: string}\n", id);
        openapi(&text).unwrap_or_else(|problems| panic!("{problems:?}"))
    };
    let (new, old) = (read("3.1.1", new), read("3.0.3", old));
    assert_eq!(format!("{:?}", new.types), format!("{:?}", old.types));
    let document = |api: &Api| serde_json::from_str::<serde_json::Value>(&api.document).unwrap();
    assert_eq!(document(&new), document(&old));
    assert_eq!(document(&old)["components"]["schemas"]["Order"]["properties"]["id"]["exclusiveMinimum"], 5);
}

#[test]
fn a_document_in_json_is_read_like_one_in_yaml() {
    let json = crate::yaml::parse(VALID).unwrap().json().to_string();
    let (yaml, json) = (openapi(VALID).unwrap(), openapi(&json).unwrap());
    assert_eq!(yaml.document, json.document);
    assert_eq!(yaml.types.len(), json.types.len());
}

#[test]
fn every_shape_of_value_in_every_position_is_a_problem_and_not_a_panic() {
    let document = include_str!("../../../../examples/shop/api/orders.yaml");
    for (line, _) in document.lines().enumerate() {
        for value in ["x", "[]", "[[]]", "{}", "{a: {}}", "~", "\"\"", "-1", "[{name: a}, {name: a}]"] {
            let mut lines: Vec<_> = document.lines().map(str::to_owned).collect();
            if let Some((key, _)) = lines[line].clone().split_once(':') {
                lines[line] = format!("{key}: {value}");
                let _result = openapi(&lines.join("\n"));
            }
        }
    }
}
