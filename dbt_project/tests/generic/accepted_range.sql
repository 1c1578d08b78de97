{#- Fails for values outside [min_value, max_value]; NULL passes, and a bound that is not given holds nothing back. -#}
{% test accepted_range(model, column_name, min_value="null", max_value="null") %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} < {{ min_value }} or {{ column_name }} > {{ max_value }}
{% endtest %}
