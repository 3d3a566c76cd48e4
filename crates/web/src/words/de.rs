//! German.

use super::{Cancel, Common, Offer, Problem, Reschedule, Start, Unsubscribe, Visit, Words};

pub(super) const WORDS: Words = Words {
    name: "Deutsch",
    common: Common {
        questions: "Fragen? Rufen Sie an:",
        languages: "Sprache",
        zone: |town, offset| format!("Ortszeit {town} ({offset})"),
        span: |from, to| format!("{from} bis {to}"),
        minutes: |minutes| if minutes == 1 { "1 Minute".into() } else { format!("{minutes} Minuten") },
        faults: "Es fehlt etwas",
        fault: "Fehler: ",
    },
    visit: Visit {
        title: "Ihr Termin",
        cancelled: "Dieser Termin ist abgesagt",
        begun: "Ihr Termin hat begonnen",
        over: "Dieser Termin ist vorbei",
        service: "Was",
        practitioner: "Bei",
        location: "Wo",
        phone: "Telefon",
        map: "Auf einer Karte zeigen",
        confirm: "Ich komme",
        reschedule: "Andere Zeit wählen",
        cancel: "Diesen Termin absagen",
        calendar: "In meinen Kalender eintragen",
        confirmed: "Sie haben bestätigt, dass Sie kommen.",
        displaced: "Die Praxis kann Sie zu dieser Zeit nicht mehr empfangen. Wählen Sie eine andere Zeit oder rufen \
                    Sie die Praxis an.",
        done_confirmed: "Danke. Die Praxis weiß, dass Sie kommen.",
        done_moved: "Ihr Termin ist verschoben. Das ist die neue Zeit.",
        done_cancelled: "Ihr Termin ist abgesagt, und die Praxis weiß es.",
        changed: "Der Termin hat sich geändert, seit Sie diese Seite geöffnet haben; es wurde nichts getan. Bitte \
                  sehen Sie ihn noch einmal an.",
        closed: "Dieser Termin lässt sich hier nicht mehr ändern. Bitte rufen Sie die Praxis an.",
        book_anew: "Für einen neuen Termin rufen Sie die Praxis an.",
        calendar_entry: |clinic| format!("Termin: {clinic}"),
    },
    cancel: Cancel {
        title: "Diesen Termin absagen?",
        reason: "Warum können Sie nicht kommen?",
        missing: "Wählen Sie einen Grund",
        submit: "Meinen Termin absagen",
        keep: "Meinen Termin behalten",
        reasons: [
            ("patient_ill", "Ich bin krank"),
            ("patient_schedule", "Die Zeit passt mir nicht"),
            ("patient_away", "Ich bin verreist"),
            ("patient_transport", "Ich komme nicht hin"),
            ("patient_better", "Es geht mir besser"),
            ("patient_elsewhere", "Ich werde anderswo behandelt"),
            ("patient_cost", "Kosten oder Versicherung"),
            ("patient_request", "Ein anderer Grund"),
        ],
    },
    reschedule: Reschedule {
        title: "Wählen Sie eine neue Zeit",
        now: "Ihr Termin jetzt",
        days: "Tage mit freien Zeiten",
        times: |day| format!("Freie Zeiten am {day}"),
        open: |count| if count == 1 { "1 Zeit".into() } else { format!("{count} Zeiten") },
        with: |name| format!("Bei {name}"),
        with_others: "Bei anderen",
        later: "Spätere Tage",
        first: "Die ersten freien Tage",
        none: "In diesen Wochen ist keine Zeit frei. Sehen Sie spätere Tage an oder rufen Sie die Praxis an.",
        check: "Ihren Termin auf diese Zeit verschieben?",
        instead_of: "Statt",
        submit: "Meinen Termin verschieben",
        other: "Andere Zeit wählen",
        keep: "Meinen Termin so lassen",
        taken: "Diese Zeit ist nicht mehr frei",
        unchanged: "Ihr Termin ist unverändert.",
        nearest: "Diese Zeiten sind jetzt frei",
    },
    offer: Offer {
        title: "Für Sie ist eine Zeit frei",
        kept: |until| format!("Für Sie reserviert bis {until}"),
        accept: "Diese Zeit nehmen",
        decline: "Nein, danke",
        accepted: "Sie haben diese Zeit genommen",
        declined: "Sie haben diese Zeit abgelehnt",
        gone: "Diese Zeit ist nicht mehr frei",
        accepted_hint: "Die Praxis erwartet Sie. Die Nachricht zu Ihrem Termin hat einen Link, um ihn zu ändern.",
        declined_hint: "Sie geht an die nächste Person. Ihre anderen Termine bleiben, wie sie sind.",
        gone_hint: "Ihre anderen Termine bleiben, wie sie sind.",
    },
    unsubscribe: Unsubscribe {
        title: "E-Mails",
        before: [
            "Der Knopf beendet alle E-Mails zu dem, was auf Ihre Besuche folgt.",
            "Der Knopf beendet alle E-Mails mit Neuigkeiten und Angeboten.",
        ],
        submit: "Diese E-Mails beenden",
        after: [
            "Erledigt: Sie bekommen keine E-Mails mehr zu dem, was auf Ihre Besuche folgt.",
            "Erledigt: Sie bekommen keine E-Mails mit Neuigkeiten und Angeboten mehr.",
        ],
        continues: "Nachrichten zu Ihren Terminen kommen weiter.",
    },
    problem: Problem {
        unknown: [
            "Dieser Link funktioniert nicht",
            "Er ist vielleicht unvollständig, oder eine neuere Nachricht hat ihn ersetzt. Öffnen Sie den Link in der \
             neuesten Nachricht Ihrer Praxis, oder rufen Sie die Praxis an.",
        ],
        expired: [
            "Dieser Link ist abgelaufen",
            "Links funktionieren eine begrenzte Zeit. Öffnen Sie den Link in der neuesten Nachricht Ihrer Praxis, oder \
             rufen Sie die Praxis an.",
        ],
        busy: [
            "Einen Moment, bitte",
            "Es kamen zu viele Anfragen auf einmal. Warten Sie eine Minute und öffnen Sie den Link noch einmal.",
        ],
        failure: [
            "Das geht gerade nicht",
            "Der Fehler liegt bei uns. Öffnen Sie den Link in einigen Minuten noch einmal; dann sehen Sie Ihren \
             Termin, wie er ist.",
        ],
        refused: ["Diese Seite lässt sich nicht zeigen", "Öffnen Sie den Link in Ihrer Nachricht noch einmal."],
    },
    start: Start {
        title: "Termine in Ihrer Physiotherapie-Praxis",
        patients: "Einen Termin sehen, verschieben oder absagen Sie über den Link in der Nachricht Ihrer Praxis. Es \
                   gibt kein Konto und kein Passwort.",
        lost: "Sie finden die Nachricht nicht? Ihre Praxis schickt Ihnen eine neue.",
        developers: "Für Entwickler",
        docs: "Schnittstelle, mit Beispielen zum Ausprobieren",
        document: "OpenAPI-Dokument",
    },
};
