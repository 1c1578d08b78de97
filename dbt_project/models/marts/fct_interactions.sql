with

{% set kinds = {
    'plays': ('int_listens_deduplicated', 'listened_at'),
    'views': ('stg_silver__views', 'viewed_at'),
    'clicks': ('stg_silver__clicks', 'clicked_at'),
} -%}

interactions as (

    {% for kind, (model, moment) in kinds.items() %}
        select
            user_id,
            item_id,
            {%- for other in kinds %}
                {{ 'count(*)' if other == kind else '0' }} as {{ other }},
            {%- endfor %}
            min({{ moment }}) as first_at,
            max({{ moment }}) as last_at
        from {{ ref(model) }}
        group by user_id, item_id
        {%- if not loop.last %}
            union all
        {%- endif %}
    {% endfor %}
),

final as (

    select
        user_id,
        item_id,
        cast(sum(plays) as bigint) as plays,
        cast(sum(views) as bigint) as views,
        cast(sum(clicks) as bigint) as clicks,
        min(first_at) as first_at,
        max(last_at) as last_at
    from interactions
    group by user_id, item_id

)

select * from final
