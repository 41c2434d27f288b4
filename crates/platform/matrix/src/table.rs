//! Which tests are whose: one line per port and backend.

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The port, or whatever else the cases are about.
    pub port: String,
    /// Who has to pass them.
    pub backend: String,
    /// The servers without which they are skipped, by their names in `REQUIRE_BACKENDS`.
    pub needs: Vec<String>,
    package: String,
    target: String,
    module: String,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let [port, backend, needs, package, target, module] = <[_; 6]>::try_from(fields).ok()?;
        let needs = needs.split(',').filter(|name| *name != "-").map(str::to_owned).collect();
        Some(Self { port, backend, needs, package, target, module })
    }

    /// Whether a test is one of its cases.
    pub fn takes(&self, package: &str, target: &str, test: &str) -> bool {
        let inside = |rest: &str| rest.starts_with("::");
        let within = self.module == "*" || test.strip_prefix(&self.module).is_some_and(inside);
        self.package == package && self.target == target && within
    }
}

/// Every line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The lines in their order; a test belongs to the first that takes it.
    pub rows: Vec<Row>,
}

impl Table {
    /// Reads lines of `port backend needs package target module`. `-` needs nothing, `*` is every module; `#` starts a comment.
    ///
    /// Fails with the number of a line that is not like that, or that repeats the port and backend of another.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rows: Vec<Row> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let row = Row::parse(line).ok_or_else(|| format!("line {}: six words are wanted", index + 1))?;
            if rows.iter().any(|other| (&other.port, &other.backend) == (&row.port, &row.backend)) {
                return Err(format!("line {}: there is a line for {} {}", index + 1, row.port, row.backend));
            }
            rows.push(row);
        }
        Ok(Self { rows })
    }

    /// The index of the row that a test belongs to.
    pub fn row_of(&self, package: &str, target: &str, test: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.takes(package, target, test))
    }

    /// Every server that some row needs.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().flat_map(|row| &row.needs).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
        # port     backend        needs          package  target       module
        store      sqlite         -              storages conformance  sqlite
        store      postgres       postgres       storages conformance  postgres   # a real one
        scenario   postgres_nats  postgres,nats  dogs     parity       postgres_nats
        own        postgres       postgres       storages postgres     *
    ";

    #[test]
    fn a_test_belongs_to_the_row_of_its_module() {
        let table = Table::parse(TEXT).unwrap();
        assert_eq!(table.row_of("storages", "conformance", "postgres::finds"), Some(1));
        assert_eq!(table.row_of("dogs", "parity", "postgres_nats::deep::story"), Some(2));
        assert_eq!(table.row_of("storages", "postgres", "anything"), Some(3));
    }

    #[test]
    fn a_test_of_another_program_or_module_belongs_to_none() {
        let table = Table::parse(TEXT).unwrap();
        for (package, target, test) in [
            ("storages", "conformance", "postgres"),
            ("storages", "conformance", "postgres_too::finds"),
            ("storages", "sqlite", "sqlite::finds"),
            ("other", "conformance", "sqlite::finds"),
        ] {
            assert_eq!(table.row_of(package, target, test), None, "{package} {target} {test}");
        }
    }

    #[test]
    fn knows_every_server() {
        let table = Table::parse(TEXT).unwrap();
        assert!(table.rows[0].needs.is_empty());
        assert_eq!(table.servers().collect::<Vec<_>>(), ["postgres", "postgres", "nats", "postgres"]);
    }

    #[test]
    fn a_slip_in_the_table_is_told_by_its_line() {
        assert_eq!(Table::parse("\na b c d e"), Err("line 2: six words are wanted".to_owned()));
        assert_eq!(Table::parse("a b c d e f\na b - x y z"), Err("line 2: there is a line for a b".to_owned()));
    }
}
