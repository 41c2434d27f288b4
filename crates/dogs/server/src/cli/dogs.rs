//! `dogs fetch`, `dogs list` and `dogs export`.

use std::borrow::Cow;
use std::io::{BufWriter, Write as _};
use std::process::ExitCode;

use dogs_domain::import::Row;
use dogs_domain::{Breed, Dog, DogService};
use kennel_core::{Order, PageSize};

use super::args::List;
use kennel_service::output::print_line;

/// Fetches an image and prints the stored dog.
pub(super) async fn fetch(service: &DogService, breed: &Breed, public_url: &str) -> anyhow::Result<ExitCode> {
    let dog = service.fetch(breed).await?;
    print_line(format_args!("{}  {}  {public_url}/api/v1/dogs/{}/photo", dog.id, dog.breed, dog.id))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a page of dogs.
pub(super) async fn list(service: &DogService, options: &List) -> anyhow::Result<ExitCode> {
    let size = PageSize::new(options.limit).map_err(|error| anyhow::anyhow!("--limit: {error}"))?;
    let page = service.list(options.breed.clone(), None, options.order.into(), size).await?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for dog in &page.items {
        if options.json {
            write_row(&mut out, dog)?;
        } else {
            let name = dog.name.as_deref().unwrap_or("-");
            let image = if dog.photo.is_some() { "image" } else { "-" };
            writeln!(out, "{}  {}  {:<24} {image:<6} {name}", dog.id, dog.created_at, dog.breed.as_str())?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Prints every dog in the format that `import` reads.
pub(super) async fn export(service: &DogService, breed: Option<&Breed>) -> anyhow::Result<ExitCode> {
    let size = PageSize::new(PageSize::MAX)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut after = None;
    loop {
        let page = service.list(breed.cloned(), after, Order::Ascending, size).await?;
        for dog in &page.items {
            write_row(&mut out, dog)?;
        }
        after = page.next;
        if after.is_none() {
            out.flush()?;
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn write_row(out: &mut impl std::io::Write, dog: &Dog) -> anyhow::Result<()> {
    let row = Row {
        breed: Cow::Borrowed(dog.breed.as_str()),
        name: dog.name.as_deref().map(Cow::Borrowed),
        image_url: dog.image_url.as_deref().map(Cow::Borrowed),
        id: Some(dog.id.0),
        created_at: Some(dog.created_at),
    };
    serde_json::to_writer(&mut *out, &row)?;
    Ok(writeln!(out)?)
}
