//! Merge of TOML by key: starts from the user's document, so that its comments and its order remain.

use std::collections::BTreeSet;

use toml_edit::{Array, Decor, DocumentMut, Item, TableLike, Value};

pub(super) fn is_valid(text: &str) -> bool {
    text.parse::<DocumentMut>().is_ok()
}

/// Whether the texts have the same values, in whatever order.
pub(super) fn is_equal(one: &str, other: &str) -> bool {
    let sorted = |text: &str| text.parse::<DocumentMut>().map(|document| sorted(document.as_item())).ok();
    sorted(one) == sorted(other)
}

fn sorted(item: &Item) -> String {
    let joined = |mut parts: Vec<String>| {
        parts.sort();
        parts.join(",")
    };
    if let Some(table) = item.as_table_like() {
        return format!(
            "{{{}}}",
            joined(table.iter().map(|(key, item)| format!("{key:?}={}", sorted(item))).collect())
        );
    }
    match item {
        Item::ArrayOfTables(tables) => {
            format!("[{}]", joined(tables.iter().map(|table| sorted(&Item::Table(table.clone()))).collect()))
        }
        Item::Value(Value::Array(array)) => {
            format!("[{}]", joined(array.iter().map(|value| sorted(&Item::Value(value.clone()))).collect()))
        }
        Item::Value(value) => plain(value),
        Item::None | Item::Table(_) => String::new(),
    }
}

/// Applies what changed from `base` to `theirs` to `ours`. `None` if both changed the same key, or one text is not TOML.
pub(super) fn merge(base: &str, ours: &str, theirs: &str) -> Option<String> {
    let base: DocumentMut = base.parse().ok()?;
    let theirs: DocumentMut = theirs.parse().ok()?;
    let mut merged: DocumentMut = ours.parse().ok()?;
    merge_table(merged.as_table_mut(), base.as_table(), theirs.as_table())?;
    let text = merged.to_string();
    is_valid(&text).then_some(text)
}

fn merge_table(ours: &mut dyn TableLike, base: &dyn TableLike, theirs: &dyn TableLike) -> Option<()> {
    let mut seen = BTreeSet::new();
    let keys = theirs.iter().chain(base.iter()).map(|(key, _)| key.to_owned());
    for key in keys.filter(|key| seen.insert(key.clone())) {
        let (before, after) = (base.get(&key), theirs.get(&key));
        if same(before, after) || same(ours.get(&key), after) {
            continue;
        }
        let is_changed = !same(ours.get(&key), before);
        match (ours.get_mut(&key), after) {
            (None, Some(after)) if before.is_none() => set(ours, &key, after),
            (Some(_), None) if !is_changed => remove(ours, base, &key)?,
            (Some(current), Some(after)) => merge_item(current, before, after)?,
            _ => return None,
        }
    }
    Some(())
}

/// Changes the value of a key: tables by key, lists by element.
fn merge_item(current: &mut Item, before: Option<&Item>, after: &Item) -> Option<()> {
    if let (Some(after), true) = (after.as_table_like(), current.is_table_like()) {
        let empty = toml_edit::Table::new();
        let before = match before {
            Some(before) => before.as_table_like()?,
            None => &empty,
        };
        return merge_table(current.as_table_like_mut()?, before, after);
    }
    let before = before?;
    if let (Some(current), Some(before), Some(after)) = (current.as_array_mut(), before.as_array(), after.as_array()) {
        return merge_array(current, before, after);
    }
    if !equal(current, before) {
        return None;
    }
    // With the comments that the user wrote next to the old value.
    let mut after = after.as_value()?.clone();
    *after.decor_mut() = current.as_value()?.decor().clone();
    *current = Item::Value(after);
    Some(())
}

/// The order of the user's list, without what the generator removed, and then what it added.
fn merge_array(ours: &mut Array, base: &Array, theirs: &Array) -> Option<()> {
    let texts = |array: &Array| -> Option<Vec<String>> {
        array.iter().map(|value| (!value.is_array() && !value.is_inline_table()).then(|| plain(value))).collect()
    };
    let (current, before, after) = (texts(ours)?, texts(base)?, texts(theirs)?);
    let first = ours.get(0).and_then(|value| value.decor().prefix()).cloned();
    for index in (0..ours.len()).rev() {
        let Some(known) = before.iter().position(|text| *text == current[index]) else { continue };
        if !after.contains(&current[index]) {
            // A comment at the element is the user's.
            if format!("{:?}", ours.get(index)?.decor()) != format!("{:?}", base.get(known)?.decor())
                && has_comment(ours.get(index)?)
            {
                return None;
            }
            ours.remove(index);
        }
    }
    // The space in front of an element that is the first one now.
    if let Some(value) =
        ours.get_mut(0).filter(|value| value.decor().prefix().and_then(|text| text.as_str()) == Some(" "))
    {
        value.decor_mut().set_prefix(first.unwrap_or_default());
    }
    for (value, text) in theirs.iter().zip(&after) {
        if !before.contains(text) && !current.contains(text) {
            let mut value = value.clone();
            // As the last element is written, which may be on a line of its own.
            let prefix = ours.iter().last().and_then(|last| last.decor().prefix()).cloned();
            let is_line = prefix.as_ref().and_then(|text| text.as_str()).is_some_and(|text| text.contains('\n'));
            let space = if ours.is_empty() { "" } else { " " };
            let prefix = prefix.filter(|_| is_line).unwrap_or_else(|| space.into());
            *value.decor_mut() = Decor::new(prefix, "");
            ours.push_formatted(value);
        }
    }
    Some(())
}

fn has_comment(value: &Value) -> bool {
    let decor = value.decor();
    [decor.prefix(), decor.suffix()]
        .into_iter()
        .flatten()
        .any(|text| text.as_str().is_none_or(|text| text.contains('#')))
}

/// Adds a key.
fn set(table: &mut dyn TableLike, key: &str, item: &Item) {
    let mut item = item.clone();
    forget_positions(&mut item);
    table.insert(key, item);
}

/// Removes a key, unless the user wrote a comment at it.
fn remove(ours: &mut dyn TableLike, base: &dyn TableLike, key: &str) -> Option<()> {
    if comments(ours, key) != comments(base, key) {
        return None;
    }
    ours.remove(key);
    Some(())
}

/// What is written around a key and its values.
fn comments(table: &dyn TableLike, key: &str) -> Option<(String, String)> {
    let (key, item) = table.get_key_value(key)?;
    Some((format!("{:?}", key.leaf_decor()), item.to_string().trim().to_owned()))
}

/// The positions of tables in another document mean nothing in this one.
fn forget_positions(item: &mut Item) {
    if let Some(table) = item.as_table_mut() {
        table.set_position(None);
        for (_, item) in table.iter_mut() {
            forget_positions(item);
        }
    }
}

fn same(one: Option<&Item>, other: Option<&Item>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => equal(one, other),
        _ => false,
    }
}

/// Whether the values are equal, however they are written.
fn equal(one: &Item, other: &Item) -> bool {
    if let (Some(one), Some(other)) = (one.as_table_like(), other.as_table_like()) {
        return one.len() == other.len() && one.iter().all(|(key, item)| same(Some(item), other.get(key)));
    }
    match (one, other) {
        (Item::Value(one), Item::Value(other)) => plain(one) == plain(other),
        (Item::ArrayOfTables(one), Item::ArrayOfTables(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other.iter())
                    .all(|(one, other)| equal(&Item::Table(one.clone()), &Item::Table(other.clone())))
        }
        (Item::None, Item::None) => true,
        _ => false,
    }
}

/// A value without comments and spaces around it and its elements.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", text.value()),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => format!("{:?}", number.value()),
        Value::Boolean(flag) => flag.value().to_string(),
        Value::Datetime(time) => time.value().to_string(),
        Value::Array(array) => format!("[{}]", array.iter().map(plain).collect::<Vec<_>>().join(",")),
        Value::InlineTable(table) => {
            let mut fields: Vec<_> = table.iter().map(|(key, value)| format!("{key:?}={}", plain(value))).collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
    }
}
