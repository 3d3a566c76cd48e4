-- The beginnings of names and e-mail addresses, of one to three letters, are words of their own: thousands of patients match
-- one letter, and a single word is read in the order of the list.
INSERT INTO patient_words (organization_id, word, patient_id)
SELECT DISTINCT organization_id, '^' || substr(word, 1, letters.number), patient_id
FROM patient_words, (SELECT 1 AS number UNION ALL SELECT 2 UNION ALL SELECT 3) AS letters
WHERE instr('+#~@^', substr(word, 1, 1)) = 0
ON CONFLICT DO NOTHING;
