-- A text and its md5 go together, which the planner cannot know: it took "the hash is this, and the text is that" for
-- two coincidences, expected next to nothing, and walked past the index of the rarest filter.
CREATE STATISTICS requests_user_hash (dependencies) ON md5("user"), "user" FROM requests;
--> statement-breakpoint
CREATE STATISTICS requests_from_index_hash (dependencies) ON md5(from_index), from_index FROM requests;
--> statement-breakpoint
CREATE STATISTICS requests_index_image_hash (dependencies) ON md5(index_image), index_image FROM requests;
--> statement-breakpoint
ANALYZE requests;
