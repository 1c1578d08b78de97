with

known as (

    select distinct user_id
    from {{ ref('int_user_activity_unioned') }}

),

final as (

    select known.user_id
    from known
    where
        not exists (
            select 1 from {{ ref('stg_silver__listens') }} as events
            where known.user_id = events.user_id
        )
        {%- for model in ['views', 'clicks', 'ratings', 'recommendations'] %}
            and not exists (
                select 1 from {{ ref('stg_silver__' ~ model) }} as events
                where known.user_id = events.user_id
            )
        {%- endfor %}

)

select * from final
