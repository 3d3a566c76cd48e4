//! The migration that makes the beginnings of words.

use sqlx::query_scalar;

use super::*;

const SQLITE: &str = include_str!("../../../migrations/sqlite/0010_beginnings_of_words.sql");
const POSTGRES: &str = include_str!("../../../migrations/postgres/0010_beginnings_of_words.sql");
const INSERT: &str = "INSERT INTO patient_words (organization_id, word, patient_id) VALUES ";
const SELECT: &str = "SELECT word FROM patient_words WHERE word LIKE '^%' ORDER BY word";

#[tokio::test]
async fn words_that_were_stored_before_get_their_beginnings() {
    for (store, _database) in both().await {
        let is_sqlite = matches!(store.database(), Engine::Sqlite(_));
        let (one, two) = if is_sqlite { ("x'01'", "x'02'") } else { ("gen_random_uuid()", "gen_random_uuid()") };
        let words = ["jose", "li", "a@example.org", "@19800203", "+17805550123", "#7805550123", "~3210555087"];
        let rows: Vec<String> = words.iter().map(|word| format!("({one}, '{word}', {two})")).collect();
        let statements =
            [format!("{INSERT}{}", rows.join(", ")), (if is_sqlite { SQLITE } else { POSTGRES }).to_owned()];
        for statement in statements {
            raw(&store, String::leak(statement)).await.unwrap();
        }
        let words: Vec<String> = service::read!(store.database().across(), "booking.words", |pool| {
            query_scalar(SELECT).fetch_all(pool).await
        })
        .unwrap();
        assert_eq!(words, ["^a", "^a@", "^a@e", "^j", "^jo", "^jos", "^l", "^li"]);
    }
}
