-- when: before deploy
-- Articles with their versions, and what finds passages in them: BM25 weights and embeddings per chunk.
-- The index tables are written and read by the functions below only; each asks first which organization calls.

create table asoe.articles (
  org_id uuid not null references public.organizations (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  slug text not null check (slug ~ '^[a-z0-9]([a-z0-9-]{0,118}[a-z0-9])?$'),
  language text not null check (language ~ '^[a-z]{2,3}$'),
  status text not null default 'draft' check (status in ('draft', 'published', 'retired')),
  version integer not null default 1,
  published_version integer,
  indexed_version integer,
  -- of the published version, or of the newest while none is published
  title text not null,
  product text,
  audience text not null check (audience in ('client', 'agent')),
  tags text[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  unique (org_id, slug, language),
  check ((status = 'published') = (published_version is not null))
);

create table asoe.article_versions (
  org_id uuid not null,
  article_id uuid not null,
  version integer not null,
  title text not null,
  body text not null,
  product text,
  audience text not null check (audience in ('client', 'agent')),
  tags text[] not null default '{}',
  -- what clients would write that this article answers
  questions text[] not null default '{}',
  written_by uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, article_id, version),
  foreign key (org_id, article_id) references asoe.articles (org_id, id) on delete cascade
);

-- what is shown and cited; only of published versions
create table asoe.article_chunks (
  org_id uuid not null,
  id bigint generated always as identity,
  article_id uuid not null,
  version integer not null,
  position integer not null,
  title text not null,
  heading text not null,
  text text not null,
  -- found by, never shown: on an article's first chunk the questions it answers
  also text not null default '',
  language text not null,
  product text,
  audience text not null,
  primary key (org_id, id),
  unique (org_id, article_id, position),
  foreign key (org_id, article_id) references asoe.articles (org_id, id) on delete cascade
);

-- how many chunks of an organization and language hold a lexeme; `id` is the lexeme's dimension in asoe.chunk_index.weights
create table asoe.chunk_lexemes (
  org_id uuid not null references public.organizations (id) on delete cascade,
  language text not null,
  lexeme text not null,
  id integer not null generated always as identity (maxvalue 1000000000),
  chunks integer not null,
  primary key (org_id, language, lexeme)
);
create unique index chunk_lexemes_id on asoe.chunk_lexemes (org_id, id);

-- `pivot` is the mean length its weights were made with; they are made anew when the mean has moved by a tenth
create table asoe.chunk_corpora (
  org_id uuid not null references public.organizations (id) on delete cascade,
  language text not null,
  chunks integer not null default 0,
  lexemes bigint not null default 0,
  pivot real not null default 0,
  primary key (org_id, language)
);

do $policies$
declare t text;
begin
  foreach t in array array['articles', 'article_versions', 'article_chunks', 'chunk_lexemes', 'chunk_corpora'] loop
    execute format('alter table asoe.%I enable row level security', t);
    execute format('alter table asoe.%I force row level security', t);
    execute format('create policy %I on asoe.%I for all to asoe_app
      using (org_id = (select asoe.current_org()) and (select asoe.is_staff()))', t || '_staff', t);
  end loop;
end
$policies$;
create policy articles_client on asoe.articles for select to asoe_app
  using (org_id = (select asoe.current_org()) and status = 'published' and audience = 'client');
create policy article_versions_client on asoe.article_versions for select to asoe_app
  using (org_id = (select asoe.current_org()) and audience = 'client' and exists (select 1 from asoe.articles a
    where a.org_id = article_versions.org_id and a.id = article_id and a.published_version = article_versions.version));
create policy article_chunks_client on asoe.article_chunks for select to asoe_app
  using (org_id = (select asoe.current_org()) and audience = 'client' and exists (select 1 from asoe.articles a
    where a.org_id = article_chunks.org_id and a.id = article_id));

grant select, insert, delete on asoe.articles to asoe_app;
grant update (status, version, published_version, title, product, audience, tags, updated_at) on asoe.articles to asoe_app;
grant select, insert on asoe.article_versions to asoe_app;
grant select on asoe.article_chunks to asoe_app;

create function asoe.text_config(language text) returns regconfig
language sql immutable parallel safe set search_path = '' as $$
  select case language
    when 'ar' then 'pg_catalog.arabic' when 'da' then 'pg_catalog.danish' when 'de' then 'pg_catalog.german'
    when 'el' then 'pg_catalog.greek' when 'en' then 'pg_catalog.english' when 'es' then 'pg_catalog.spanish'
    when 'fi' then 'pg_catalog.finnish' when 'fr' then 'pg_catalog.french' when 'hu' then 'pg_catalog.hungarian'
    when 'id' then 'pg_catalog.indonesian' when 'it' then 'pg_catalog.italian' when 'lt' then 'pg_catalog.lithuanian'
    when 'nl' then 'pg_catalog.dutch' when 'no' then 'pg_catalog.norwegian' when 'pt' then 'pg_catalog.portuguese'
    when 'ro' then 'pg_catalog.romanian' when 'ru' then 'pg_catalog.russian' when 'sv' then 'pg_catalog.swedish'
    when 'tr' then 'pg_catalog.turkish' else 'pg_catalog.simple' end::regconfig
$$;

-- Accents are dropped after stemming, so that a text typed without them still finds.
create function asoe.plain_letters(lexeme text) returns text
language sql immutable parallel safe set search_path = '' as $$
  select left(translate(lexeme, 'àáâãäåçèéêëìíîïñòóôõöùúûüýÿß', 'aaaaaaceeeeiiiinooooouuuuyys'), 200)
$$;

-- Stems with their counts. Marks that the parser would glue words with become spaces (ERR-402, card/account).
create function asoe.lexemes_of(language text, words text) returns table (lexeme text, times integer)
language sql stable parallel safe rows 20 set search_path = '' as $$
  select asoe.plain_letters(t.lexeme), sum(coalesce(cardinality(t.positions), 1))::integer
  from unnest(to_tsvector(asoe.text_config(language), translate(words, '/_.:#@→–—-', '          '))) as t
  group by 1
$$;

-- A chunk's counts: what title and headings say counts twice. An accented word also stands there unstemmed and plain, for
-- stemmers know "configuración" but not "configuracion".
create function asoe.lexemes_of_chunk(language text, title text, heading text, body text)
returns table (lexeme text, times integer)
language sql stable parallel safe rows 50 set search_path = '' as $$
  with stems as materialized (
    select l.lexeme, sum(l.times)::integer as times
    from (select a.lexeme, 2 * a.times as times from asoe.lexemes_of(language, title || ' ' || heading) a
      union all select b.lexeme, b.times from asoe.lexemes_of(language, body) b) as l
    group by 1
  ), accented as (
    select distinct asoe.plain_letters(t.lexeme) as lexeme
    from unnest(to_tsvector('pg_catalog.simple', translate(title || ' ' || heading || ' ' || body,
      '/_.:#@→–—-', '          '))) as t
    where t.lexeme <> asoe.plain_letters(t.lexeme) and length(t.lexeme) < 200
  )
  select s.lexeme, s.times from stems s
  union all
  select a.lexeme, 1 from accented a where not exists (select 1 from stems s where s.lexeme = a.lexeme)
$$;

-- pgvector lives in public, or in extensions on Supabase: its names are written in once, here.
do $vectors$
declare
  home text;
  k1 constant text := '1.2';
  b constant text := '0.75';
begin
  select n.nspname into strict home from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector';

  -- narrow, so that an exact scan over one organization reads few pages; Okapi weights without the document frequency
  execute format($sql$
    create table asoe.chunk_index (
      org_id uuid not null,
      chunk_id bigint not null,
      article_id uuid not null,
      language text not null,
      product text,
      audience text not null,
      embedding %1$I.halfvec(384) not null,
      weights %1$I.sparsevec(1000000000) not null,
      lexemes integer[] not null,
      primary key (org_id, chunk_id),
      foreign key (org_id, chunk_id) references asoe.article_chunks (org_id, id) on delete cascade
    ) with (toast_tuple_target = 4080)$sql$, home);
  execute format('create index chunk_index_embedding on asoe.chunk_index using hnsw (embedding %I.halfvec_cosine_ops)', home);
  execute 'alter table asoe.chunk_index enable row level security';
  execute 'alter table asoe.chunk_index force row level security';
  execute 'create policy chunk_index_staff on asoe.chunk_index for all to asoe_app
    using (org_id = (select asoe.current_org()) and (select asoe.is_staff()))';
  execute format($sql$
    create table asoe.question_index (
      org_id uuid not null,
      article_id uuid not null,
      position integer not null,
      language text not null,
      product text,
      audience text not null,
      embedding %1$I.halfvec(384) not null,
      primary key (org_id, article_id, position),
      foreign key (org_id, article_id) references asoe.articles (org_id, id) on delete cascade
    )$sql$, home);
  execute format('create index question_index_embedding on asoe.question_index using hnsw (embedding %I.halfvec_cosine_ops)', home);
  execute 'alter table asoe.question_index enable row level security';
  execute 'alter table asoe.question_index force row level security';
  execute 'create policy question_index_staff on asoe.question_index for all to asoe_app
    using (org_id = (select asoe.current_org()) and (select asoe.is_staff()))';
  create index chunk_index_article on asoe.chunk_index (org_id, article_id);
  create index chunk_index_lexemes on asoe.chunk_index using gin (lexemes) with (fastupdate = off);

  execute replace(replace(replace($function$
    create function asoe.weigh_chunks(org uuid, wanted_language text, wanted bigint[])
    returns table (chunk_id bigint, weights @vector.sparsevec, lexemes integer[])
    language sql stable set search_path = '' as $body$
      select c.id, ('{' || string_agg(l.id || ':' || round((w.times * (@k1 + 1)
          / (w.times + @k1 * (1 - @b + @b * w.total / greatest(s.pivot, 1))))::numeric, 4), ',') || '}/1000000000')
          ::@vector.sparsevec,
        array_agg(l.id order by l.id)
      from asoe.article_chunks c
      join asoe.chunk_corpora s on s.org_id = c.org_id and s.language = c.language
      cross join lateral (select f.lexeme, f.times, sum(f.times) over () as total
        from asoe.lexemes_of_chunk(c.language, c.title, c.heading, c.text || ' ' || c.also) f) w
      join asoe.chunk_lexemes l on l.org_id = c.org_id and l.language = c.language and l.lexeme = w.lexeme
      where c.org_id = org and c.language = wanted_language and (wanted is null or c.id = any (wanted))
      group by c.id
    $body$;
    $function$, '@vector', quote_ident(home)), '@k1', k1), '@b', b);

  execute replace($function$
    create function asoe.index_article(article uuid, wanted_version integer, headings text[], texts text[], embeddings text[],
      question_embeddings text[] default '{}')
    returns boolean language plpgsql security definer set search_path = '' as $body$
    declare
      org uuid := asoe.current_org();
      its asoe.articles;
      its_text asoe.article_versions;
      made bigint[];
      corpus asoe.chunk_corpora;
    begin
      if org is null or not asoe.is_staff() then
        raise insufficient_privilege using message = 'only staff or the engine of the organization may index its articles';
      end if;
      -- first the article, then the organization's counts: publishing and retiring take them in the same order
      select * into its from asoe.articles where org_id = org and id = article for update;
      perform pg_advisory_xact_lock(hashtextextended(org::text, 3));
      if its.published_version is distinct from wanted_version or its.id is null then
        return false;  -- another version was published, or it was retired; that change brings its own job
      end if;
      select * into strict its_text from asoe.article_versions
        where org_id = org and article_id = article and version = wanted_version;
      perform asoe.drop_chunks(article);

      with rows as (
        insert into asoe.article_chunks (org_id, article_id, version, position, title, heading, text, also, language,
          product, audience)
        select org, article, wanted_version, n - 1, its_text.title, h, t,
          case when n = 1 then array_to_string(its_text.questions, ' ') else '' end,
          its.language, its_text.product, its_text.audience
        from unnest(headings, texts) with ordinality as u (h, t, n)
        returning id
      ) select coalesce(array_agg(id order by id), '{}') into made from rows;

      with counts as materialized (
        select w.lexeme, count(*)::integer as chunks, sum(w.times) as times
        from asoe.article_chunks c
        cross join lateral asoe.lexemes_of_chunk(c.language, c.title, c.heading, c.text || ' ' || c.also) w
        where c.org_id = org and c.id = any (made) group by 1
      ), known as (
        update asoe.chunk_lexemes l set chunks = l.chunks + counts.chunks from counts
        where l.org_id = org and l.language = its.language and l.lexeme = counts.lexeme returning l.lexeme
      ), fresh as (
        insert into asoe.chunk_lexemes (org_id, language, lexeme, chunks)
        select org, its.language, lexeme, chunks from counts where lexeme not in (select lexeme from known)
      )
      insert into asoe.chunk_corpora as s (org_id, language, chunks, lexemes, pivot)
      select org, its.language, cardinality(made), coalesce(sum(times), 0), 0 from counts
      on conflict (org_id, language) do update
        set chunks = s.chunks + excluded.chunks, lexemes = s.lexemes + excluded.lexemes
      returning * into corpus;

      if abs(corpus.lexemes / greatest(corpus.chunks, 1)::real - corpus.pivot) > corpus.pivot * 0.1 then
        update asoe.chunk_corpora set pivot = corpus.lexemes / greatest(corpus.chunks, 1)::real
          where org_id = org and language = its.language;
        update asoe.chunk_index x set weights = w.weights
          from asoe.weigh_chunks(org, its.language, null) w where x.org_id = org and x.chunk_id = w.chunk_id;
      end if;

      insert into asoe.chunk_index (org_id, chunk_id, article_id, language, product, audience, embedding, weights, lexemes)
      select org, c.id, article, c.language, c.product, c.audience, embeddings[c.position + 1]::@vector.halfvec,
        coalesce(w.weights, '{}/1000000000'::@vector.sparsevec), coalesce(w.lexemes, '{}')
      from asoe.article_chunks c left join asoe.weigh_chunks(org, its.language, made) w on w.chunk_id = c.id
      where c.org_id = org and c.id = any (made);

      insert into asoe.question_index (org_id, article_id, position, language, product, audience, embedding)
      select org, article, n, its.language, its_text.product, its_text.audience, e::@vector.halfvec
      from unnest(question_embeddings) with ordinality as u (e, n);

      update asoe.articles set indexed_version = wanted_version where org_id = org and id = article;
      return true;
    end
    $body$;
    $function$, '@vector', quote_ident(home));

  -- The nearest chunks by words and by meaning: ids and scores only, text is read through row-level security afterwards.
  -- `lexical` is BM25 as a share of what a chunk holding every word of the question could reach.
  execute replace(replace($function$
    create function asoe.find_chunks(question text, embedding text, wanted_audience text, wanted_product text,
      excluded uuid[], max_lexical integer, max_semantic integer, exact_up_to integer default 20000)
    returns table (chunk_id bigint, article_id uuid, language text, lexical real, semantic real)
    language plpgsql stable security definer set search_path = '' as $body$
    #variable_conflict use_column
    declare
      org uuid := asoe.current_org();
      audiences text[] := case when wanted_audience = 'agent' and asoe.is_staff() then '{client,agent}'::text[]
        else '{client}'::text[] end;
      near @vector.halfvec := embedding::@vector.halfvec;
      asked @vector.sparsevec;
      rare integer[];
      languages text[];
      reachable real[];
      size integer;
    begin
      select coalesce(sum(s.chunks), 0) into size from asoe.chunk_corpora s where s.org_id = org;
      if size = 0 then
        return;
      end if;
      with words as (
        select s.language, w.lexeme, w.times * 9.0 / (w.times + 8) as times, s.chunks as all_chunks
        from asoe.chunk_corpora s cross join lateral asoe.lexemes_of(s.language, question) w
        where s.org_id = org and s.chunks > 0
      ), weighed as (
        select w.language, l.id, l.chunks,
          w.times * ln(1 + (w.all_chunks - coalesce(l.chunks, 0) + 0.5) / (coalesce(l.chunks, 0) + 0.5)) as weight
        from words w left join asoe.chunk_lexemes l
          on l.org_id = org and l.language = w.language and l.lexeme = w.lexeme and l.chunks > 0
      ), kept as (
        select id, weight, sum(chunks) over (order by weight desc, id) as reached from weighed where id is not null
      ), totals as (
        -- corpora of different sizes weigh the same word differently: each language is measured by its own reach
        select s.language, coalesce(sum(w.weight), 1) * (@k1 + 1) as total
        from asoe.chunk_corpora s left join weighed w on w.language = s.language
        where s.org_id = org group by s.language
      )
      select ('{' || string_agg(id || ':' || round(weight::numeric, 4), ',') || '}/1000000000')::@vector.sparsevec,
        array_agg(id) filter (where reached <= exact_up_to),
        (select array_agg(t.language order by t.language) from totals t),
        (select array_agg(t.total order by t.language) from totals t)
      into asked, rare, languages, reachable from kept;
      asked := coalesce(asked, '{}/1000000000'::@vector.sparsevec);

      if size <= exact_up_to then
        return query
          with scored as materialized (
            select x.chunk_id, x.article_id, x.language,
              (-(x.weights operator(@vector.<#>) asked) / reachable[array_position(languages, x.language)])::real as lexical,
              (1 - (x.embedding operator(@vector.<=>) near))::real as semantic
            from asoe.chunk_index x
            where x.org_id = org and x.audience = any (audiences)
              and (wanted_product is null or x.product is null or x.product = wanted_product)
              and x.article_id <> all (excluded)
          )
          (select * from scored s where s.lexical > 0 order by s.lexical desc, s.chunk_id limit max_lexical)
          union
          (select * from scored s order by s.semantic desc, s.chunk_id limit max_semantic);
      else
        -- the filter comes after the index scan: go on until there are enough rows of this organization
        perform set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', '100', true);
        return query
          with by_words as materialized (
            select x.chunk_id, x.article_id, x.language,
              (-(x.weights operator(@vector.<#>) asked) / reachable[array_position(languages, x.language)])::real as lexical,
              (1 - (x.embedding operator(@vector.<=>) near))::real as semantic
            from asoe.chunk_index x
            where x.lexemes && rare and x.org_id = org and x.audience = any (audiences)
              and (wanted_product is null or x.product is null or x.product = wanted_product)
              and x.article_id <> all (excluded)
            order by 4 desc, 1 limit max_lexical
          ), by_meaning as materialized (
            select x.chunk_id, x.article_id, x.language,
              (-(x.weights operator(@vector.<#>) asked) / reachable[array_position(languages, x.language)])::real as lexical,
              (1 - (x.embedding operator(@vector.<=>) near))::real as semantic
            from asoe.chunk_index x
            where x.org_id = org and x.audience = any (audiences)
              and (wanted_product is null or x.product is null or x.product = wanted_product)
              and x.article_id <> all (excluded)
            order by x.embedding operator(@vector.<=>) near limit max_semantic
          )
          select * from by_words union select * from by_meaning;
      end if;
    end
    $body$;
    $function$, '@vector', quote_ident(home)), '@k1', k1);

  -- Articles by the likeness of the question to those they say they answer, each with its two nearest chunks.
  execute replace($function$
    create function asoe.find_questions(embedding text, wanted_audience text, wanted_product text, excluded uuid[],
      max_articles integer)
    returns table (chunk_id bigint, article_id uuid, language text, asked real, semantic real)
    language plpgsql stable security definer set search_path = '' as $body$
    #variable_conflict use_column
    declare
      org uuid := asoe.current_org();
      audiences text[] := case when wanted_audience = 'agent' and asoe.is_staff() then '{client,agent}'::text[]
        else '{client}'::text[] end;
      near @vector.halfvec := embedding::@vector.halfvec;
    begin
      perform set_config('hnsw.iterative_scan', 'relaxed_order', true);
      return query
        with nearest as materialized (
          select q.article_id, q.language, 1 - (q.embedding operator(@vector.<=>) near) as asked
          from asoe.question_index q
          where q.org_id = org and q.audience = any (audiences)
            and (wanted_product is null or q.product is null or q.product = wanted_product)
            and q.article_id <> all (excluded)
          order by q.embedding operator(@vector.<=>) near limit 8 * max_articles
        ), by_article as (
          select article_id, language, max(asked) as asked from nearest group by 1, 2 order by 3 desc limit max_articles
        )
        select x.chunk_id, a.article_id, a.language, a.asked::real, x.semantic::real
        from by_article a cross join lateral (
          select c.chunk_id, 1 - (c.embedding operator(@vector.<=>) near) as semantic
          from asoe.chunk_index c where c.org_id = org and c.article_id = a.article_id
          order by 2 desc limit 2) x;
    end
    $body$;
    $function$, '@vector', quote_ident(home));
end
$vectors$;

create function asoe.drop_chunks(article uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  org uuid := asoe.current_org();
begin
  if org is null or not asoe.is_staff() then
    raise insufficient_privilege using message = 'only staff or the engine of the organization may change its index';
  end if;
  perform pg_advisory_xact_lock(hashtextextended(org::text, 3));
  update asoe.chunk_lexemes l set chunks = l.chunks - gone.chunks
    from (select unnest(x.lexemes) as id, count(*)::integer as chunks from asoe.chunk_index x
      where x.org_id = org and x.article_id = article group by 1) gone
    where l.org_id = org and l.id = gone.id;
  update asoe.chunk_corpora s set chunks = s.chunks - gone.chunks, lexemes = greatest(s.lexemes - gone.lexemes, 0)
    from (select c.language, count(*)::integer as chunks, sum(w.times) as lexemes from asoe.article_chunks c
      cross join lateral (select coalesce(sum(f.times), 0) as times
        from asoe.lexemes_of_chunk(c.language, c.title, c.heading, c.text || ' ' || c.also) f) w
      where c.org_id = org and c.article_id = article group by 1) gone
    where s.org_id = org and s.language = gone.language;
  delete from asoe.article_chunks where org_id = org and article_id = article;
  delete from asoe.question_index where org_id = org and article_id = article;
  update asoe.articles set indexed_version = null where org_id = org and id = article;
end
$$;

do $grants$
declare f record;
begin
  for f in select p.oid::regprocedure as name, p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'asoe' and p.proname in ('text_config', 'plain_letters', 'lexemes_of', 'lexemes_of_chunk', 'weigh_chunks',
      'index_article', 'find_chunks', 'find_questions', 'drop_chunks') loop
    execute format('revoke all on function %s from public', f.name);
    if f.proname in ('index_article', 'find_chunks', 'find_questions', 'drop_chunks') then
      execute format('grant execute on function %s to asoe_app', f.name);
    end if;
  end loop;
end
$grants$;
