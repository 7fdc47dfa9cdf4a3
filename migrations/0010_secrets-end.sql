-- The tokens of a request go when it has ended, whoever ends it. While its delivery is not over they stay: publishing, or
-- undoing, may need them after somebody has ended the request from outside.
CREATE FUNCTION requests_secrets_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM request_secrets WHERE request_id = NEW.id
    AND NOT EXISTS (SELECT FROM deliveries WHERE id = NEW.delivery_id AND ended_at IS NULL);
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER requests_secrets_end
  AFTER UPDATE OF state ON requests
  FOR EACH ROW
  WHEN (OLD.state = 'in_progress' AND NEW.state <> 'in_progress')
  EXECUTE FUNCTION requests_secrets_end();
--> statement-breakpoint
CREATE FUNCTION deliveries_secrets_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- One may be ended at this moment by a transaction that is not seen yet: it is waited for.
  PERFORM FROM requests WHERE delivery_id = NEW.id ORDER BY id FOR UPDATE;
  DELETE FROM request_secrets USING requests
    WHERE request_id = requests.id AND delivery_id = NEW.id AND requests.state <> 'in_progress';
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER deliveries_secrets_end
  AFTER UPDATE OF state ON deliveries
  FOR EACH ROW
  WHEN (NEW.state IN ('complete', 'undone'))
  EXECUTE FUNCTION deliveries_secrets_end();
--> statement-breakpoint
-- Those that are left from before.
DELETE FROM request_secrets USING requests
  WHERE request_id = requests.id AND state <> 'in_progress'
    AND NOT EXISTS (SELECT FROM deliveries WHERE id = delivery_id AND ended_at IS NULL);
