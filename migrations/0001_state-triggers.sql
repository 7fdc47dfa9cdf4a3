-- The history of a request is append-only, its newest entry is copied to the request, and nobody else writes it there
-- (rest-api.md §5). SQLSTATE IW001 = the request is finished and cannot change states.
CREATE FUNCTION request_states_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'request_states is append-only';
END
$$;
--> statement-breakpoint
CREATE TRIGGER request_states_append_only
  BEFORE UPDATE OR DELETE OR TRUNCATE ON request_states
  FOR EACH STATEMENT EXECUTE FUNCTION request_states_append_only();
--> statement-breakpoint
CREATE FUNCTION request_states_finality() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  current text;
BEGIN
  SELECT state INTO current FROM requests WHERE id = NEW.request_id FOR UPDATE;
  IF current <> 'in_progress' AND current <> NEW.state THEN
    RAISE EXCEPTION 'A % request cannot change states', current USING ERRCODE = 'IW001';
  END IF;
  RETURN NEW;
END
$$;
--> statement-breakpoint
CREATE TRIGGER request_states_finality
  BEFORE INSERT ON request_states
  FOR EACH ROW EXECUTE FUNCTION request_states_finality();
--> statement-breakpoint
CREATE FUNCTION request_states_copy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE requests SET state = NEW.state, state_reason = NEW.state_reason, updated = NEW.updated WHERE id = NEW.request_id;
  RETURN NULL;
END
$$;
--> statement-breakpoint
CREATE TRIGGER request_states_copy
  AFTER INSERT ON request_states
  FOR EACH ROW EXECUTE FUNCTION request_states_copy();
--> statement-breakpoint
CREATE FUNCTION requests_state_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Depth 1 is a statement of a client; the copy above runs inside a trigger and is one deeper.
  IF pg_trigger_depth() < 2 THEN
    RAISE EXCEPTION 'the state of a request is set by inserting into request_states';
  END IF;
  RETURN NEW;
END
$$;
--> statement-breakpoint
CREATE TRIGGER requests_state_guard
  BEFORE UPDATE ON requests
  FOR EACH ROW
  WHEN ((OLD.state, OLD.state_reason, OLD.updated) IS DISTINCT FROM (NEW.state, NEW.state_reason, NEW.updated))
  EXECUTE FUNCTION requests_state_guard();
--> statement-breakpoint
CREATE TRIGGER requests_state_guard_insert
  BEFORE INSERT ON requests
  FOR EACH ROW
  WHEN (NEW.state <> 'in_progress')
  EXECUTE FUNCTION requests_state_guard();
