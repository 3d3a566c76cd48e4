//! The unsubscribe link of e-mails (RFC 8058): a page with one button, and the POST that mail programs send.

use axum::http::Method;
use rpc::Fault;
use wire::reminder::{UnsubscribeRequest, UnsubscribeState};

use crate::{
    call::Call,
    operation::{Access, Body, Content, Operation, handler},
    reply::Reply,
};

/// The texts of the page in one language.
struct Texts {
    lang: &'static str,
    title: &'static str,
    /// The effect of the button on e-mails after visits, and on marketing.
    before: [&'static str; 2],
    button: &'static str,
    /// The same after the button was pressed.
    after: [&'static str; 2],
    /// The messages that continue.
    continues: &'static str,
    call: &'static str,
}

const TEXTS: [Texts; 4] = [
    Texts {
        lang: "en",
        title: "E-mails",
        before: [
            "The button stops all e-mails about what follows your visits.",
            "The button stops all e-mails with news and offers.",
        ],
        button: "Stop these e-mails",
        after: [
            "Done: you get no more e-mails about what follows your visits.",
            "Done: you get no more e-mails with news and offers.",
        ],
        continues: "Messages about your appointments still come.",
        call: "Questions? Call",
    },
    Texts {
        lang: "fr",
        title: "Courriels",
        before: [
            "Le bouton arrête tous les courriels sur la suite de vos visites.",
            "Le bouton arrête tous les courriels de nouvelles et d’offres.",
        ],
        button: "Arrêter ces courriels",
        after: [
            "C’est fait : vous ne recevez plus de courriels sur la suite de vos visites.",
            "C’est fait : vous ne recevez plus de courriels de nouvelles et d’offres.",
        ],
        continues: "Les messages au sujet de vos rendez-vous continuent.",
        call: "Des questions ? Appelez le",
    },
    Texts {
        lang: "es",
        title: "Correos",
        before: [
            "El botón detiene todos los correos sobre lo que sigue a sus visitas.",
            "El botón detiene todos los correos con novedades y ofertas.",
        ],
        button: "Detener estos correos",
        after: [
            "Hecho: ya no recibirá correos sobre lo que sigue a sus visitas.",
            "Hecho: ya no recibirá correos con novedades y ofertas.",
        ],
        continues: "Los mensajes sobre sus citas siguen llegando.",
        call: "¿Preguntas? Llame al",
    },
    Texts {
        lang: "de",
        title: "E-Mails",
        before: [
            "Der Knopf beendet alle E-Mails zu dem, was auf Ihre Besuche folgt.",
            "Der Knopf beendet alle E-Mails mit Neuigkeiten und Angeboten.",
        ],
        button: "Diese E-Mails beenden",
        after: [
            "Erledigt: Sie bekommen keine E-Mails mehr zu dem, was auf Ihre Besuche folgt.",
            "Erledigt: Sie bekommen keine E-Mails mit Neuigkeiten und Angeboten mehr.",
        ],
        continues: "Nachrichten zu Ihren Terminen kommen weiter.",
        call: "Fragen? Rufen Sie an:",
    },
];

pub(super) fn operations() -> Vec<Operation> {
    let operation = |id: &str, method, summary: &str, handler| {
        Operation::new(id, method, "/v1/unsubscribe/{token}", "messages", summary, Access::Open, handler)
            .content(Content::Html)
    };
    let page_summary = "Returns the unsubscribe page of a link; it changes nothing";
    let unsubscribe = operation(
        "unsubscribe",
        Method::POST,
        "Unsubscribes by the link of an e-mail (RFC 8058)",
        handler!(unsubscribe),
    );
    vec![
        operation("unsubscribe_page", Method::GET, page_summary, handler!(show)),
        unsubscribe.body(Body::Form).optional_body(),
    ]
}

async fn show(mut call: Call) -> Result<Reply, Fault> {
    let request = UnsubscribeRequest { token: call.path_param("token") };
    let state = call.inner.reminder.clone().get_unsubscribe(call.context().request(request)).await?.into_inner();
    reply(&mut call, &state)
}

async fn unsubscribe(mut call: Call) -> Result<Reply, Fault> {
    let request = UnsubscribeRequest { token: call.path_param("token") };
    let state = call.inner.reminder.clone().unsubscribe(call.context().request(request)).await?.into_inner();
    // A reminder service of an older version does not set `ended`.
    reply(&mut call, &UnsubscribeState { ended: true, ..state })
}

fn reply(call: &mut Call, state: &UnsubscribeState) -> Result<Reply, Fault> {
    call.act_as_patient(state.organization_id.parse().map_err(Fault::internal)?);
    Ok(Reply::html(page(state)))
}

/// The page, without scripts and without external resources.
fn page(state: &UnsubscribeState) -> String {
    let texts = TEXTS.iter().find(|texts| texts.lang == state.language).unwrap_or(&TEXTS[0]);
    let subject = usize::from(state.what == "marketing");
    let Texts { lang, title, button, continues, call, .. } = texts;
    let (clinic, phone) = (escape(&state.clinic), escape(&state.phone));
    let title = if clinic.is_empty() { (*title).to_owned() } else { format!("{title} – {clinic}") };
    let call = if phone.is_empty() { String::new() } else { format!("<p>{call} {phone}.</p>\n") };
    let (sentence, form) = if state.ended {
        (texts.after[subject], String::new())
    } else {
        // The field that mail programs post (RFC 8058), so that both requests are alike.
        let field = "<input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">";
        (texts.before[subject], format!("<form method=\"post\">{field}<button>{button}</button></form>\n"))
    };
    format!(
        "<!doctype html>\n<html lang=\"{lang}\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\n<body><main>\n\
         <h1>{title}</h1>\n<p>{sentence} {continues}</p>\n{form}{call}</main></body>\n</html>\n"
    )
}

/// Escapes a text for HTML.
fn escape(text: &str) -> String {
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
            organization_id: String::new(),
        }
    }

    #[test]
    fn the_page_names_its_effect_and_has_one_button() {
        for texts in &TEXTS {
            let asking = page(&state(texts.lang, false));
            assert!(asking.contains(texts.before[0]) && asking.contains(texts.continues), "{asking}");
            assert_eq!((asking.matches("<form").count(), asking.matches("<button").count()), (1, 1));
            assert!(asking.contains("method=\"post\"") && asking.contains("+17805550100"));
            let done = page(&state(texts.lang, true));
            assert!(done.contains(texts.after[0]) && !done.contains("<form"), "{done}");
            let marketing = page(&UnsubscribeState { what: "marketing".into(), ..state(texts.lang, false) });
            assert!(marketing.contains(texts.before[1]), "{marketing}");
        }
        assert!(page(&state("it", false)).contains("lang=\"en\""), "another language is answered in English");
    }

    #[test]
    fn the_clinics_name_is_escaped_and_no_resource_is_fetched() {
        let page = page(&state("en", false));
        assert!(page.contains("Physio &lt;b&gt;&amp; &quot;Co&quot;&lt;/b&gt;"), "{page}");
        for word in ["<script", "<style", "<link", "src=", "http:", "https:", "onclick"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn the_page_is_neither_cached_nor_framed_nor_indexed() {
        let response = Reply::html(String::new()).into_response();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert!(header("content-security-policy").starts_with("default-src 'none'"));
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!((header("x-robots-tag"), header("referrer-policy")), ("noindex", "no-referrer"));
    }
}
