-- name: insert_article
-- nothing comes back when slug and language are taken
insert into asoe.articles (org_id, slug, language, title, product, audience, tags, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
on conflict (org_id, slug, language) do nothing
returning id

-- name: insert_version
insert into asoe.article_versions (org_id, article_id, version, title, body, product, audience, tags, questions,
  written_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: raise_version
-- a published article goes on showing what is published; a draft shows what was written last
update asoe.articles set version = $3, updated_at = $4,
  title = case when published_version is null then $5 else title end,
  product = case when published_version is null then $6 else product end,
  audience = case when published_version is null then $7 else audience end,
  tags = case when published_version is null then $8 else tags end
where org_id = $1 and id = $2 and version = $3 - 1

-- name: publish
update asoe.articles a set status = 'published', published_version = v.version, title = v.title, product = v.product,
  audience = v.audience, tags = v.tags, updated_at = $4
from asoe.article_versions v
where a.org_id = $1 and a.id = $2 and v.org_id = $1 and v.article_id = $2 and v.version = $3

-- name: retire
update asoe.articles set status = 'retired', published_version = null, updated_at = $3
where org_id = $1 and id = $2 and status <> 'retired'

-- name: drop_chunks
select asoe.drop_chunks($1)

-- name: index_article
select asoe.index_article($1, $2, $3, $4, $5, $6)

-- name: find
-- the version shown: $3, else the published one for readers ($4), else the newest
select {columns} from asoe.articles a
join asoe.article_versions v on v.org_id = a.org_id and v.article_id = a.id
  and v.version = coalesce($3::integer, case when $4 then a.published_version end, a.version)
where a.org_id = $1 and a.id = $2

-- name: find_by_slug
select {columns} from asoe.articles a
join asoe.article_versions v on v.org_id = a.org_id and v.article_id = a.id
  and v.version = coalesce(case when $4 then a.published_version end, a.version)
where a.org_id = $1 and a.slug = $2 and a.language = $3

-- name: find_named
-- as people name them; a slug outweighs a title
select a.id, a.slug, a.language, a.title from asoe.articles a
where a.org_id = $1 and (a.slug = $2 or lower(a.title) = lower($2)) and ($3::text is null or a.language = $3)
order by a.slug <> $2, a.slug, a.language

-- name: lock
select version, published_version, audience, status from asoe.articles where org_id = $1 and id = $2 for update

-- name: page
-- without the bodies: a list shows titles
select {listed} from asoe.articles a
where a.org_id = $1 and ($2::text is null or a.status = $2) and ($3::text is null or a.language = $3)
  and ($4::text is null or a.audience = $4) and ($5::text is null or a.product = $5)
  and ($6::text is null or (a.slug, a.language) > ($6, $7))
order by a.slug, a.language
limit $8

-- name: versions
select v.version, v.title, v.body, v.product, v.audience, v.tags, v.questions, v.written_by, v.created_at, a.slug, a.language,
  v.version = a.published_version as is_published
from asoe.article_versions v join asoe.articles a on a.org_id = v.org_id and a.id = v.article_id
where v.org_id = $1 and v.article_id = $2
order by v.version desc

-- name: progress
select count(*) filter (where indexed_version = published_version) as indexed, count(*) as total
from asoe.articles where org_id = $1 and status = 'published'

-- name: unindexed
-- published, but not findable as published: what a lost job left behind
select id from asoe.articles
where org_id = $1 and status = 'published' and indexed_version is distinct from published_version
  and updated_at <= now() - make_interval(secs => $3)
order by updated_at limit $2

-- name: find_chunks
select chunk_id, article_id, language, lexical, semantic from asoe.find_chunks($1, $2, $3, $4, $5, $6, $7)

-- name: find_questions
select chunk_id, article_id, language, asked, semantic from asoe.find_questions($1, $2, $3, $4, $5)

-- name: slugs
-- translations of one article share it
select id, slug from asoe.articles where org_id = $1 and id = any ($2::uuid[])

-- name: read_chunks
-- as the caller: row-level security decides once more what it may read
select c.id, c.article_id, a.slug, c.title, c.heading, c.text, c.position, c.language
from asoe.article_chunks c join asoe.articles a on a.org_id = c.org_id and a.id = c.article_id
where c.org_id = $1 and c.id = any ($2::bigint[])
