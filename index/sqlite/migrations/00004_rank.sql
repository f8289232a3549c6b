-- +goose Up
-- index.Rank of each listing: milliseconds << 20, and which publication it was of those with the same.
ALTER TABLE listing ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
UPDATE listing SET rank = (listing.updated << 20) + r.n FROM (
    SELECT l.id, row_number() OVER (PARTITION BY l.updated ORDER BY h.id, l.id) - 1 AS n FROM listing l
    LEFT JOIN (SELECT account, max(id) AS id FROM history WHERE action = 'published' GROUP BY account) h ON h.account = l.account
) r WHERE r.id = listing.id;
CREATE UNIQUE INDEX listing_rank ON listing (rank);

-- +goose Down
DROP INDEX listing_rank;
ALTER TABLE listing DROP COLUMN rank;
