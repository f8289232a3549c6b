-- +goose Up
-- A search for prices alone walks this index when few offers are within the range.
CREATE INDEX offer_price ON offer (price, updated DESC, account DESC, kind) WHERE price IS NOT NULL;

-- +goose Down
DROP INDEX offer_price;
