{#- Fails for versions of a key that overlap or leave a gap to the next one, and for keys with two current versions. -#}
{% test no_gap_in_history(model, key) %}
select *
from (
    select
        {{ key }},
        valid_to,
        is_current,
        lead(valid_from) over (partition by {{ key }} order by valid_from) as next_from
    from {{ model }}
) as versions
where (is_current and next_from is not null) or (not is_current and next_from is not null and next_from < valid_to)
{% endtest %}
