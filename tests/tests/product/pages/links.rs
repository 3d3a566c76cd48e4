//! Links in a browser: where they lead, what dead ones say, languages, limits, and the start page.

use anyhow::{Context, Result};
use reqwest::{Method, StatusCode};

use super::{Browser, book, clinic, page_of, products};

const UNKNOWN: &str = "AAAAAAAAAAAAAAAAAAAAAA";

#[tokio::test]
async fn a_browser_is_sent_to_the_page_and_a_program_gets_json() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "").await?;
        let (browser, page, link) = (Browser::new(&product)?, page_of(&booked), booked.text("/links/manage"));
        let path = link.strip_prefix(&product.url).context("a link of the product")?;
        assert_eq!(browser.open(path).await?.checked().location(), page);
        let offer = browser.open(&format!("/v1/offer_links/{UNKNOWN}")).await?.checked();
        assert_eq!(offer.location(), format!("/o/{UNKNOWN}"));
        for accept in ["*/*", "application/json", "application/json, text/html;q=0.9"] {
            let answer = product.send(Method::GET, path, "", &[("accept", accept)], None).await?;
            assert_eq!((answer.status, answer.text("/id")), (StatusCode::OK, booked.text("/id")), "{accept}");
        }
        let line = product.get("/v1/audit?action=manage_get").await?;
        let redirected = line.body["data"].as_array().context("lines")?.iter().any(|line| line["status"] == 303);
        assert!(!redirected, "a redirection shows nothing: {}", line.body);
    }
    Ok(())
}

#[tokio::test]
async fn a_dead_link_is_a_calm_page() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let booked = book(&product, &slots[0], "").await?;
        let (browser, page) = (Browser::new(&product)?, page_of(&booked));
        let path = format!("/v1/appointments/{}/links/revoke", booked.text("/id"));
        let revoked = product.send(Method::POST, &path, scenarios::ADMIN, &[], None).await?;
        assert_eq!(revoked.status, StatusCode::OK, "{}", revoked.body);
        let unknown = browser.open(&format!("/m/{UNKNOWN}")).await?.checked();
        let dead = browser.open(&page).await?.checked();
        assert_eq!((unknown.status, dead.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
        let without_token = |text: &str, path: &str| text.replace(path, "");
        let same = without_token(&unknown.text, &format!("/m/{UNKNOWN}")) == without_token(&dead.text, &page);
        assert!(same, "a revoked link is answered as an unknown one: {}", dead.text);
        assert!(dead.text.contains("<h1>This link does not work</h1>") && !dead.text.contains("+17805550100"));
        for rest in ["/cancel", "/move", "/visit.ics"] {
            assert_eq!(browser.open(&format!("{page}{rest}")).await?.checked().status, StatusCode::NOT_FOUND, "{rest}");
        }
        for form in ["confirm", "cancel", "move"] {
            let answer = browser.post(&format!("{page}/{form}"), &[("version", "1")]).await?.checked();
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{form}");
        }
        for path in ["/m", "/m/a/b/c", "/o/a/b", "/u"] {
            assert_eq!(browser.open(path).await?.checked().status, StatusCode::NOT_FOUND, "{path}");
        }
        let wrong = browser.open(&format!("{page}/confirm")).await?.checked();
        assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(browser.open("/m/%00").await?.checked().status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    Ok(())
}

#[tokio::test]
async fn pages_speak_the_readers_language() -> Result<()> {
    for product in products(&[]).await? {
        let (_, slots) = clinic(&product).await?;
        let (french, any) = (book(&product, &slots[0], "fr-CA").await?, book(&product, &slots[8], "").await?);
        let language = |text: &str| text.split("<html lang=\"").nth(1).map(|rest| rest[..2].to_owned());
        let spanish = Browser::new(&product)?.speaking("it, es;q=0.9, en;q=0.1");
        for (path, expected) in [
            (page_of(&french), "fr"),
            (format!("{}?lang=de", page_of(&french)), "de"),
            (format!("{}?lang=%3Cscript%3E", page_of(&french)), "fr"),
            (page_of(&any), "es"),
            (format!("/m/{UNKNOWN}"), "es"),
            (format!("/m/{UNKNOWN}?lang=fr"), "fr"),
            ("/".to_owned(), "es"),
        ] {
            let page = spanish.open(&path).await?.checked();
            assert_eq!(language(&page.text).as_deref(), Some(expected), "{path}");
        }
        let page = page_of(&french);
        let chosen = spanish.open(&format!("{page}?lang=de")).await?;
        assert!(chosen.links("/cancel").iter().all(|link| link.ends_with("?lang=de")), "links keep the choice");
        let fields = [("version", chosen.field("version")?)];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let done = spanish.post(&format!("{page}/confirm?lang=de"), &fields).await?;
        assert_eq!(done.location(), format!("{page}?done=confirmed&lang=de"));
        assert!(spanish.open(done.location()).await?.text.contains("Die Praxis weiß, dass Sie kommen."));
    }
    Ok(())
}

#[tokio::test]
async fn a_flood_of_one_link_is_limited_over_its_pages_and_its_json_together() -> Result<()> {
    for product in products(&["--set", "gateway.rates.link_per_second=2"]).await? {
        let (_, slots) = clinic(&product).await?;
        let browser = Browser::new(&product)?;
        let mut limited = None;
        // The page is the first one of its link. On a slow machine its bucket may have filled up before: then another link.
        for slot in slots.iter().step_by(4).take(5) {
            let booked = book(&product, slot, "").await?;
            let link = booked.text("/links/manage");
            while product.send(Method::GET, &link, "", &[], None).await?.status != StatusCode::TOO_MANY_REQUESTS {}
            let page = browser.open(&page_of(&booked)).await?.checked();
            if page.status == StatusCode::TOO_MANY_REQUESTS {
                limited = Some(page);
                break;
            }
        }
        let limited = limited.context("a limit")?;
        assert!(limited.text.contains("One moment, please") && limited.headers.contains_key("retry-after"));
    }
    Ok(())
}

#[tokio::test]
async fn the_start_page_and_the_assets_are_for_browsers() -> Result<()> {
    for product in products(&[]).await? {
        let browser = Browser::new(&product)?;
        let start = browser.open("/").await?.checked();
        assert_eq!(start.status, StatusCode::OK);
        assert!(start.text.contains("href=\"/docs\""), "{}", start.text);
        let program = product.send(Method::GET, "/", "", &[], None).await?;
        assert_eq!((program.status, program.text("/code").as_str()), (StatusCode::NOT_FOUND, "not_found"));
        let assets = start.links("/assets/");
        assert_eq!(assets.len(), 2, "{assets:?}");
        for path in assets {
            let asset = browser.open(&path).await?;
            assert_eq!((asset.status, asset.header("x-content-type-options")), (StatusCode::OK, "nosniff"), "{path}");
            assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
            let name = path.rsplit('/').next().context("a name")?;
            let other = browser.open(&format!("/assets/0123456789abcdef/{name}")).await?;
            assert_eq!((other.status, other.header("cache-control")), (StatusCode::OK, "no-cache"));
        }
        assert_eq!(browser.open("/assets/0/unknown.css").await?.status, StatusCode::NOT_FOUND);
    }
    Ok(())
}
