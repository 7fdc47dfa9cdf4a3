-- The newest entry of a history is copied as before; the first final one also says when and by which transaction the
-- request ended.
CREATE OR REPLACE FUNCTION request_states_copy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE requests SET
    state = NEW.state,
    state_reason = NEW.state_reason,
    updated = NEW.updated,
    completed = CASE WHEN NEW.state = 'in_progress' THEN completed ELSE coalesce(completed, NEW.updated) END,
    final_xid = CASE WHEN NEW.state = 'in_progress' THEN final_xid ELSE coalesce(final_xid, pg_current_xact_id()) END
  WHERE id = NEW.request_id;
  RETURN NULL;
END
$$;
--> statement-breakpoint
-- Requests that are already there.
UPDATE requests SET
  submitted = coalesce((SELECT min(updated) FROM request_states WHERE request_id = requests.id), updated),
  completed = (SELECT min(updated) FROM request_states WHERE request_id = requests.id AND state <> 'in_progress'),
  final_xid = CASE WHEN state = 'in_progress' THEN NULL ELSE pg_current_xact_id() END;
