const COMMANDS = new Set(
  (
    'approve assign assign_reviewer award blocked_by blocks cc child_of clear_health_status clear_weight clone close ' +
    'confidential convert_to_ticket copy_metadata create_merge_request done draft due duplicate epic estimate ' +
    'health_status invite_email iteration label link lock merge milestone move page parent_epic promote ' +
    'promote_to_incident publish react ready reassign reassign_reviewer rebase relabel relate relate_to_resource ' +
    'relocate remove_child remove_child_epic remove_contacts remove_due_date remove_email remove_estimate ' +
    'remove_iteration remove_milestone remove_parent remove_parent_epic remove_time_spent remove_zoom reopen ' +
    'request_changes request_review rename set_parent shrug spend spend_time spent status submit_review subscribe ' +
    'tableflip tag target_branch time_tracking timeline title todo type unapprove unassign unassign_reviewer ' +
    'unassign_time unlabel unlink unlock unreact unsubscribe weight wip zoom'
  ).split(' '),
);

/**
 * The text as GitLab keeps it: lines that are quick actions are executed and gone, except in code (fences, indented or
 * in backticks) and quotes (konflux-and-gitlab.md §4.1). Executing them is left out; that the line vanishes is what shows
 * unescaped text.
 */
export function dropQuickActions(text: string): string {
  let fence: string | undefined;
  return text
    .split('\n')
    .filter((line) => {
      const mark = line.match(/^\s{0,3}(`{3,}|~{3,}|>>>)/)?.[1];
      if (fence !== undefined) {
        if (mark?.startsWith(fence) === true) fence = undefined;
        return true;
      }
      if (mark !== undefined) {
        fence = mark;
        return true;
      }
      const command = line.match(/^\/([a-z_]+)(?=\s|$)/i)?.[1];
      return command === undefined || !COMMANDS.has(command.toLowerCase());
    })
    .join('\n');
}
