import type { Project } from './records.ts';

/** Labels are made by use: a label is its title, everything else follows from it. */
export function labelView(project: Project, title: string) {
  let hash = 0;
  for (const letter of title) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  return {
    id: (hash % 1_000_000) + 1,
    title,
    color: '#6699cc',
    project_id: project.id,
    created_at: project.created_at,
    updated_at: project.created_at,
    template: false,
    description: null,
    type: 'ProjectLabel',
    group_id: null,
  };
}
