//! French.

use super::{Cancel, Common, Offer, Problem, Reschedule, Start, Unsubscribe, Visit, Words};

pub(super) const WORDS: Words = Words {
    name: "Français",
    common: Common {
        questions: "Des questions ? Appelez le",
        languages: "Langue",
        zone: |town, offset| {
            let elided = town.starts_with(['A', 'E', 'I', 'O', 'U', 'É', 'Y', 'H']);
            format!("Heure {}{town} ({offset})", if elided { "d’" } else { "de " })
        },
        span: |from, to| format!("de {from} à {to}"),
        minutes: |minutes| if minutes < 2 { format!("{minutes} minute") } else { format!("{minutes} minutes") },
        faults: "Il manque quelque chose",
        fault: "Erreur : ",
    },
    visit: Visit {
        title: "Votre rendez-vous",
        cancelled: "Ce rendez-vous est annulé",
        begun: "Votre rendez-vous a commencé",
        over: "Ce rendez-vous est passé",
        service: "Quoi",
        practitioner: "Avec",
        location: "Où",
        phone: "Téléphone",
        map: "Voir sur une carte",
        confirm: "Je viendrai",
        reschedule: "Choisir une autre heure",
        cancel: "Annuler ce rendez-vous",
        calendar: "Ajouter à mon agenda",
        confirmed: "Vous avez confirmé votre venue.",
        displaced: "La clinique ne peut plus vous recevoir à cette heure. Choisissez une autre heure ou appelez la \
                    clinique.",
        done_confirmed: "Merci. La clinique sait que vous viendrez.",
        done_moved: "Votre rendez-vous est déplacé. Voici la nouvelle heure.",
        done_cancelled: "Votre rendez-vous est annulé, et la clinique le sait.",
        changed: "Le rendez-vous a changé depuis que vous avez ouvert cette page : rien n’a été fait. Regardez-le de \
                  nouveau.",
        closed: "Ce rendez-vous ne peut plus être modifié ici. Appelez la clinique.",
        book_anew: "Pour prendre un autre rendez-vous, appelez la clinique.",
        calendar_entry: |clinic| format!("Rendez-vous : {clinic}"),
    },
    cancel: Cancel {
        title: "Annuler ce rendez-vous ?",
        reason: "Pourquoi ne pouvez-vous pas venir ?",
        missing: "Choisissez une raison",
        submit: "Annuler mon rendez-vous",
        keep: "Garder mon rendez-vous",
        reasons: [
            ("patient_ill", "Je suis malade"),
            ("patient_schedule", "L’heure ne me convient pas"),
            ("patient_away", "Je suis en déplacement"),
            ("patient_transport", "Je ne peux pas me déplacer"),
            ("patient_better", "Je vais mieux"),
            ("patient_elsewhere", "Je me fais soigner ailleurs"),
            ("patient_cost", "Coût ou assurance"),
            ("patient_request", "Une autre raison"),
        ],
    },
    reschedule: Reschedule {
        title: "Choisissez une nouvelle heure",
        now: "Votre rendez-vous actuel",
        days: "Jours avec des heures libres",
        times: |day| format!("Heures libres le {day}"),
        open: |count| if count < 2 { format!("{count} heure") } else { format!("{count} heures") },
        with: |name| format!("Avec {name}"),
        with_others: "Avec d’autres praticiens",
        later: "Jours suivants",
        first: "Premiers jours libres",
        none: "Aucune heure n’est libre pendant ces semaines. Regardez les jours suivants ou appelez la clinique.",
        check: "Déplacer votre rendez-vous à cette heure ?",
        instead_of: "À la place de",
        submit: "Déplacer mon rendez-vous",
        other: "Choisir une autre heure",
        keep: "Garder mon rendez-vous tel quel",
        taken: "Cette heure n’est plus libre",
        unchanged: "Votre rendez-vous n’a pas changé.",
        nearest: "Ces heures sont libres maintenant",
    },
    offer: Offer {
        title: "Une heure est libre pour vous",
        kept: |until| format!("Gardée pour vous jusqu’à {until}"),
        accept: "Prendre cette heure",
        decline: "Non, merci",
        accepted: "Vous avez pris cette heure",
        declined: "Vous avez refusé cette heure",
        gone: "Cette heure n’est plus libre",
        accepted_hint: "La clinique vous attend. Le message sur votre rendez-vous contient un lien pour le modifier.",
        declined_hint: "Elle va au patient suivant. Vos autres rendez-vous restent tels quels.",
        gone_hint: "Vos autres rendez-vous restent tels quels.",
    },
    unsubscribe: Unsubscribe {
        title: "Courriels",
        before: [
            "Le bouton arrête tous les courriels sur la suite de vos visites.",
            "Le bouton arrête tous les courriels de nouvelles et d’offres.",
        ],
        submit: "Arrêter ces courriels",
        after: [
            "C’est fait : vous ne recevez plus de courriels sur la suite de vos visites.",
            "C’est fait : vous ne recevez plus de courriels de nouvelles et d’offres.",
        ],
        continues: "Les messages au sujet de vos rendez-vous continuent.",
    },
    problem: Problem {
        unknown: [
            "Ce lien ne fonctionne pas",
            "Il est peut-être incomplet, ou un message plus récent l’a remplacé. Ouvrez le lien du dernier message de \
             votre clinique, ou appelez la clinique.",
        ],
        expired: [
            "Ce lien a expiré",
            "Les liens fonctionnent pendant un temps limité. Ouvrez le lien du dernier message de votre clinique, ou \
             appelez la clinique.",
        ],
        busy: [
            "Un instant, s’il vous plaît",
            "Trop de demandes sont arrivées à la fois. Attendez une minute et ouvrez le lien de nouveau.",
        ],
        failure: [
            "Cela ne fonctionne pas pour l’instant",
            "La faute est de notre côté. Ouvrez le lien de nouveau dans quelques minutes pour voir votre rendez-vous \
             tel qu’il est.",
        ],
        refused: ["Cette page ne peut pas être affichée", "Ouvrez de nouveau le lien de votre message."],
    },
    start: Start {
        title: "Rendez-vous dans votre clinique de physiothérapie",
        patients: "Vous voyez, déplacez ou annulez un rendez-vous par le lien du message que votre clinique vous a \
                   envoyé. Il n’y a ni compte ni mot de passe.",
        lost: "Vous ne trouvez pas le message ? Votre clinique vous en envoie un autre.",
        developers: "Pour les développeurs",
        docs: "Interface, avec des exemples à essayer",
        document: "Document OpenAPI",
    },
};
