-- A request is stored with what its first entry says: there is nothing to copy, and no row to be written again.
CREATE OR REPLACE FUNCTION request_states_copy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE requests SET
    state = NEW.state,
    state_reason = NEW.state_reason,
    updated = NEW.updated,
    completed = CASE WHEN NEW.state = 'in_progress' THEN completed ELSE coalesce(completed, NEW.updated) END,
    final_xid = CASE WHEN NEW.state = 'in_progress' THEN final_xid ELSE coalesce(final_xid, pg_current_xact_id()) END
  WHERE id = NEW.request_id
    AND (state, state_reason, updated) IS DISTINCT FROM (NEW.state, NEW.state_reason, NEW.updated);
  RETURN NULL;
END
$$;
