//! The table that assigns tests to ports and backends, one line each.

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The port, or the subject of the cases.
    pub port: String,
    /// The backend that has to pass them.
    pub backend: String,
    /// Servers that the cases need, by their names in `REQUIRE_BACKENDS`; without one the cases are skipped.
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

    /// Whether a test belongs to this row.
    pub fn matches(&self, package: &str, target: &str, test: &str) -> bool {
        let inside = |rest: &str| rest.starts_with("::");
        let within = self.module == "*" || test.strip_prefix(&self.module).is_some_and(inside);
        self.package == package && self.target == target && within
    }
}

/// All rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The rows in order; a test belongs to the first row that matches.
    pub rows: Vec<Row>,
}

impl Table {
    /// Parses lines of `port backend needs package target module`. `-` means no server, `*` means every module; `#`
    /// starts a comment.
    ///
    /// Fails with the line number if a line is malformed or repeats the port and backend of another line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rows: Vec<Row> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let row = Row::parse(line).ok_or_else(|| format!("line {}: expected six fields", index + 1))?;
            if rows.iter().any(|other| (&other.port, &other.backend) == (&row.port, &row.backend)) {
                return Err(format!("line {}: duplicate row for {} {}", index + 1, row.port, row.backend));
            }
            rows.push(row);
        }
        Ok(Self { rows })
    }

    /// The index of the row that a test belongs to.
    pub fn row_of(&self, package: &str, target: &str, test: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.matches(package, target, test))
    }

    /// The servers that rows need, with repetitions.
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
    fn a_test_of_another_program_or_module_belongs_to_no_row() {
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
    fn lists_every_server() {
        let table = Table::parse(TEXT).unwrap();
        assert!(table.rows[0].needs.is_empty());
        assert_eq!(table.servers().collect::<Vec<_>>(), ["postgres", "postgres", "nats", "postgres"]);
    }

    #[test]
    fn errors_in_the_table_name_the_line() {
        assert_eq!(Table::parse("\na b c d e"), Err("line 2: expected six fields".to_owned()));
        assert_eq!(Table::parse("a b c d e f\na b - x y z"), Err("line 2: duplicate row for a b".to_owned()));
    }
}
