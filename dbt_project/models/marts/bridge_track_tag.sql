{{ tags_of('track') }}
