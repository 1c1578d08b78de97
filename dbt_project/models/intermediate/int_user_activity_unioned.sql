with

{% set activities = {
    'int_listens_deduplicated': 'listened_at',
    'stg_silver__views': 'viewed_at',
    'stg_silver__clicks': 'clicked_at',
    'stg_silver__ratings': 'rated_at',
    'stg_silver__recommendations': 'shown_at',
} -%}

final as (

    {% for model, moment in activities.items() %}
        select
            '{{ model }}' as activity,
            user_id,
            count(*) as n_events,
            min({{ moment }}) as first_at,
            max({{ moment }}) as last_at
        from {{ ref(model) }}
        group by user_id
        {%- if not loop.last %}
            union all
        {%- endif %}
    {% endfor %}
)

select * from final
