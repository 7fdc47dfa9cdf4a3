import type {
  BranchSchema,
  CommitSchema,
  CommitStatusSchema,
  ExpandedMergeRequestSchema,
  ExpandedUserSchema,
  GroupSchema,
  MemberSchema,
  NamespaceSchema,
  NoteSchema,
  PersonalAccessTokenSchema,
  PipelineSchema,
  ProjectHookSchema,
  ProjectSchema,
  SimpleUserSchema,
  WebhookMergeRequestEventSchema,
  WebhookProjectSchema,
} from '@gitbeaker/rest';
import { expectTypeOf, test } from 'vitest';
import type { requestView } from '../../src/sandbox/gitlab/merge-request-view.ts';
import type * as views from '../../src/sandbox/gitlab/views.ts';

/**
 * What the imitation answers, held against the types that the authors of gitbeaker give GitLab's answers. The compiler is
 * the judge (`make lint`); nothing here can fail when it runs.
 */

/** Fields that are named; most of gitbeaker's types allow any others. */
type Named<T> = keyof { [Field in keyof T as string extends Field ? never : Field]: T[Field] };

/** A value of the same kind: gitbeaker rarely says which fields may be null, and its lists of words are short of some. */
type Like<T> = T extends string
  ? string
  : T extends number
    ? number
    : T extends boolean
      ? boolean
      : T extends (infer Element)[]
        ? (Like<Element> | null)[]
        : T extends object
          ? { [Field in Named<T>]?: Like<T[Field]> | null }
          : T;

/** Fields that gitbeaker's type has and ours has not. */
type Missing<Ours, Theirs> = Exclude<Named<Theirs>, keyof Ours>;

type View<Name extends keyof typeof views> = (typeof views)[Name] extends (...args: never) => infer Answer
  ? Answer
  : never;

test('values of the fields that both have are of the same kind; a seeded one is not', () => {
  const compiled = (
    mergeRequest: ReturnType<typeof requestView>,
    commit: View<'commitView'>,
    status: View<'statusView'>,
    note: View<'noteView'>,
    pipeline: View<'pipelineView'>,
    project: View<'projectView'>,
    hook: View<'hookView'>,
    user: View<'userView'>,
    ownUser: View<'ownUserView'>,
    member: View<'memberView'>,
    namespace: View<'namespaceView'>,
    group: View<'groupView'>,
    token: View<'tokenView'>,
    projectOfHook: View<'projectHookView'>,
    commitOfHook: View<'commitHookView'>,
  ) => [
    mergeRequest satisfies Like<ExpandedMergeRequestSchema>,
    commit satisfies Like<CommitSchema>,
    commit satisfies Like<BranchSchema['commit']>,
    status satisfies Like<CommitStatusSchema>,
    note satisfies Like<NoteSchema>,
    pipeline satisfies Like<PipelineSchema>,
    project satisfies Like<ProjectSchema>,
    hook satisfies Like<ProjectHookSchema>,
    user satisfies Like<SimpleUserSchema>,
    // The one difference that is known: GitLab and client-go have a boolean there.
    ownUser satisfies Like<ExpandedUserSchema> extends infer Like ? Omit<Like, 'private_profile'> : never,
    member satisfies Like<MemberSchema>,
    namespace satisfies Like<NamespaceSchema>,
    group satisfies Like<GroupSchema>,
    token satisfies Like<PersonalAccessTokenSchema>,
    projectOfHook satisfies Like<WebhookProjectSchema>,
    commitOfHook satisfies Like<WebhookMergeRequestEventSchema['object_attributes']['last_commit']>,
    // A field of another type is a mistake that the compiler tells.
    // @ts-expect-error
    { ...mergeRequest, iid: String(mergeRequest.iid) } satisfies Like<ExpandedMergeRequestSchema>,
    // @ts-expect-error
    { ...mergeRequest, diff_refs: [mergeRequest.sha] } satisfies Like<ExpandedMergeRequestSchema>,
    // @ts-expect-error
    { ...commitOfHook, author: commitOfHook.author.name } satisfies Like<{ author: { name: string } }>,
  ];
  expectTypeOf(compiled).toBeFunction();
});

test('the fields that gitbeaker knows and the imitation does not send are those that are known', () => {
  expectTypeOf<
    Missing<ReturnType<typeof requestView>, ExpandedMergeRequestSchema>
  >().toEqualTypeOf<'rebase_in_progress'>();
  expectTypeOf<Missing<View<'commitView'>, CommitSchema>>().toEqualTypeOf<never>();
  expectTypeOf<Missing<View<'statusView'>, CommitStatusSchema>>().toEqualTypeOf<never>();
  expectTypeOf<Missing<View<'noteView'>, NoteSchema>>().toEqualTypeOf<never>();
  expectTypeOf<Missing<View<'pipelineView'>, PipelineSchema>>().toEqualTypeOf<never>();
  expectTypeOf<Missing<View<'userView'>, SimpleUserSchema>>().toEqualTypeOf<'created_at'>();
  expectTypeOf<Missing<View<'commitHookView'>, { id: string; author: object; url: string }>>().toEqualTypeOf<never>();
  // A field dropped is told as well.
  expectTypeOf<Missing<Omit<View<'commitView'>, 'parent_ids'>, CommitSchema>>().toEqualTypeOf<'parent_ids'>();
});
