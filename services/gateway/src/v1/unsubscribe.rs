//! The link in a mail that ends such mails (RFC 8058): a page with one button, and what mail programs post by themselves.

use axum::http::Method;
use rpc::Fault;
use wire::reminder::{UnsubscribeRequest, UnsubscribeState};

use crate::{
    call::{Call, Reply},
    operation::{Access, Operation, handler},
};

/// The page's words in one language.
struct Words {
    lang: &'static str,
    title: &'static str,
    /// What the button ends: mails about what follows visits, or those of marketing.
    ends: [&'static str; 2],
    button: &'static str,
    /// What has ended.
    ended: [&'static str; 2],
    /// What goes on.
    stays: &'static str,
    call: &'static str,
}

const WORDS: [Words; 4] = [
    Words {
        lang: "en",
        title: "E-mails",
        ends: [
            "The button stops all e-mails about what follows your visits.",
            "The button stops all e-mails with news and offers.",
        ],
        button: "Stop these e-mails",
        ended: [
            "Done: you get no more e-mails about what follows your visits.",
            "Done: you get no more e-mails with news and offers.",
        ],
        stays: "Messages about your appointments still come.",
        call: "Questions? Call",
    },
    Words {
        lang: "fr",
        title: "Courriels",
        ends: [
            "Le bouton arrête tous les courriels sur la suite de vos visites.",
            "Le bouton arrête tous les courriels de nouvelles et d’offres.",
        ],
        button: "Arrêter ces courriels",
        ended: [
            "C’est fait : vous ne recevez plus de courriels sur la suite de vos visites.",
            "C’est fait : vous ne recevez plus de courriels de nouvelles et d’offres.",
        ],
        stays: "Les messages au sujet de vos rendez-vous continuent.",
        call: "Des questions ? Appelez le",
    },
    Words {
        lang: "es",
        title: "Correos",
        ends: [
            "El botón detiene todos los correos sobre lo que sigue a sus visitas.",
            "El botón detiene todos los correos con novedades y ofertas.",
        ],
        button: "Detener estos correos",
        ended: [
            "Hecho: ya no recibirá correos sobre lo que sigue a sus visitas.",
            "Hecho: ya no recibirá correos con novedades y ofertas.",
        ],
        stays: "Los mensajes sobre sus citas siguen llegando.",
        call: "¿Preguntas? Llame al",
    },
    Words {
        lang: "de",
        title: "E-Mails",
        ends: [
            "Der Knopf beendet alle E-Mails zu dem, was auf Ihre Besuche folgt.",
            "Der Knopf beendet alle E-Mails mit Neuigkeiten und Angeboten.",
        ],
        button: "Diese E-Mails beenden",
        ended: [
            "Erledigt: Sie bekommen keine E-Mails mehr zu dem, was auf Ihre Besuche folgt.",
            "Erledigt: Sie bekommen keine E-Mails mit Neuigkeiten und Angeboten mehr.",
        ],
        stays: "Nachrichten zu Ihren Terminen kommen weiter.",
        call: "Fragen? Rufen Sie an:",
    },
];

pub(crate) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, summary: &str, handler| {
        Operation::new(id, method, "/v1/unsubscribe/{token}", "messages", summary, Access::Open, handler)
            .answer(200, "Page")
    };
    let about = "What the link in an e-mail ends, as a page with a button; looking ends nothing";
    let end = operation(
        "unsubscribe",
        Method::POST,
        "Ends such e-mails, by the link in one of them (RFC 8058)",
        handler!(unsubscribe),
    );
    vec![
        operation("unsubscribe_page", Method::GET, about, handler!(look)),
        Operation { body_optional: true, ..end.body("Form") },
    ]
}

async fn look(call: Call) -> Result<Reply, Fault> {
    let request = UnsubscribeRequest { token: call.part("token") };
    let state = call.inner.reminder.clone().get_unsubscribe(call.context().request(request)).await?.into_inner();
    Ok(Reply::page(page(&state)))
}

async fn unsubscribe(call: Call) -> Result<Reply, Fault> {
    let request = UnsubscribeRequest { token: call.part("token") };
    let state = call.inner.reminder.clone().unsubscribe(call.context().request(request)).await?.into_inner();
    // One that is older than this gateway says nothing of it.
    Ok(Reply::page(page(&UnsubscribeState { ended: true, ..state })))
}

/// The page: nothing runs in it, and nothing is fetched for it.
fn page(state: &UnsubscribeState) -> String {
    let words = WORDS.iter().find(|words| words.lang == state.language).unwrap_or(&WORDS[0]);
    let which = usize::from(state.what == "marketing");
    let Words { lang, title, button, stays, call, .. } = words;
    let (clinic, phone) = (escaped(&state.clinic), escaped(&state.phone));
    let title = if clinic.is_empty() { (*title).to_owned() } else { format!("{title} – {clinic}") };
    let call = if phone.is_empty() { String::new() } else { format!("<p>{call} {phone}.</p>\n") };
    let (said, form) = if state.ended {
        (words.ended[which], String::new())
    } else {
        // What mail programs post, so that both mean the same.
        let field = "<input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">";
        (words.ends[which], format!("<form method=\"post\">{field}<button>{button}</button></form>\n"))
    };
    format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\n<body><main>\n\
         <h1>{title}</h1>\n<p>{said} {stays}</p>\n{form}{call}</main></body>\n</html>\n"
    )
}

/// A text as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(language: &str, ended: bool) -> UnsubscribeState {
        UnsubscribeState {
            what: "after_visit".into(),
            ended,
            language: language.into(),
            clinic: "Physio <b>& \"Co\"</b>".into(),
            phone: "+17805550100".into(),
        }
    }

    #[test]
    fn the_page_says_what_ends_and_has_one_button() {
        for words in &WORDS {
            let before = page(&state(words.lang, false));
            assert!(before.contains(words.ends[0]) && before.contains(words.stays), "{before}");
            assert_eq!((before.matches("<form").count(), before.matches("<button").count()), (1, 1));
            assert!(before.contains("method=\"post\"") && before.contains("+17805550100"));
            let after = page(&state(words.lang, true));
            assert!(after.contains(words.ended[0]) && !after.contains("<form"), "{after}");
            let marketing = page(&UnsubscribeState { what: "marketing".into(), ..state(words.lang, false) });
            assert!(marketing.contains(words.ends[1]), "{marketing}");
        }
        assert!(page(&state("it", false)).contains("lang=\"en\""), "another language is answered in English");
    }

    #[test]
    fn a_clinics_name_is_text_and_nothing_is_fetched() {
        let page = page(&state("en", false));
        assert!(page.contains("Physio &lt;b&gt;&amp; &quot;Co&quot;&lt;/b&gt;"), "{page}");
        for word in ["<script", "<style", "<link", "src=", "http:", "https:", "onclick"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn no_one_keeps_frames_or_lists_the_page() {
        let response = Reply::page(String::new()).into_response();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert!(header("content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!((header("x-robots-tag"), header("referrer-policy")), ("noindex", "no-referrer"));
    }
}
